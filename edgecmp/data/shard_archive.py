"""One shard: how its images are encoded, and the tar file of images and labels."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Sequence

from PIL import Image

from edgecmp.data.image_set import ImageSet
from edgecmp.decoding import flat

__all__ = ["ImageEncoder", "archive", "archived"]

JPEG_QUALITY = 95


class ImageEncoder:
    """Encodes one image as a file of a shard."""

    def __init__(self, longest_side: int | None, lossless: bool) -> None:
        self.longest_side, self.lossless = longest_side, lossless
        self.suffix = "png" if lossless else "jpg"

    def __call__(self, image: Image.Image) -> bytes:
        image = flat(image)
        if self.longest_side is not None and max(image.size) > self.longest_side:
            scale = self.longest_side / max(image.size)
            width, height = (max(1, round(length * scale)) for length in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        stream = io.BytesIO()
        if self.lossless:
            image.save(stream, "PNG")
        else:
            image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return stream.getvalue()


def archive(split: str, images: ImageSet, files: Sequence[tuple[int, bytes]], suffix: str) -> bytes:
    """The tar file of these images; beside each image lies a JSON document with its labels."""
    import webdataset

    keys = images.source.keys
    stream = io.BytesIO()
    with webdataset.TarWriter(stream, encoder=False, mtime=0) as writer:
        for index, content in files:
            label = {
                "key": keys[images.rows[index]],
                "identity": images.identity_names[images.identities[index]],
                "domain": images.domain_names[images.domains[index]],
                "split": split,
            }
            text = json.dumps(label, ensure_ascii=False).encode()
            writer.write({"__key__": f"{index:09d}", suffix: content, "json": text})
    return stream.getvalue()


def archived(archive: bytes, suffix: str) -> list[tuple[int, int, int, int]]:
    """(index, offset, size, CRC-32) of each image in a tar file."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            stem, _, ending = member.name.partition(".")
            if ending == suffix:
                start, size = member.offset_data, member.size
                checksum = zlib.crc32(memoryview(archive)[start : start + size])
                found.append((int(stem), start, size, checksum))
    return found
