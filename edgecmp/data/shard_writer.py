"""Writes a dataset as shards (see `edgecmp.data.shards`): decoded, cropped, shrunk, shuffled."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_set import ImageSet, Integers
from edgecmp.data.shards import INDEX, ROWS, Shard, ShardIndex
from edgecmp.data.split import SPLITS
from edgecmp.errors import UserError
from edgecmp.files import provenance, sha256_json, write_atomic, write_json
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress
from edgecmp.report import Report

__all__ = ["ShardReport", "write_shards"]

SHARD_IMAGES = 4096
SHARD_BYTES = 128 * 2**20
JPEG_QUALITY = 95
_THREADS = min(8, os.cpu_count() or 1)
_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class ShardReport(Report):
    """What was written.

    Attributes:
        rows: one per split: "split", "images", "identities", "shards" and "size_mb".
        path: the folder.
        fingerprint: SHA-256 over the rows and the shards.
    """

    rows: list[dict[str, Any]]
    path: Path
    fingerprint: str

    def written(self) -> dict[str, Path]:
        """What was written, and where."""
        return {"the shards": self.path}

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp data shard --json` writes."""
        return {"rows": self.rows, "path": str(self.path), "fingerprint": self.fingerprint}


def write_shards(
    dataset: Dataset,
    out: str | Path,
    *,
    longest_side: int | None = None,
    lossless: bool = False,
    images_per_shard: int = SHARD_IMAGES,
) -> ShardReport:
    """Writes all three splits of a dataset to the new folder `out`.

    The same images always result in the same bytes. The folder appears once it is complete.

    Args:
        dataset: the data.
        out: the folder, which must not exist or must be empty.
        longest_side: in pixels; images with a longer side are shrunk to it, as `Preprocessing`
            would; None keeps every size.
        lossless: write PNG instead of JPEG of quality 95: networks then read exactly the pixels of
            the original images, from files of 3 to 6 times the size.
        images_per_shard: the largest number of images in a shard.

    Raises:
        UserError: `out` exists already, an image cannot be read, or the disk is full.
    """
    out = Path(out)
    if longest_side is not None and longest_side < 1:
        raise UserError(
            f"Images cannot be shrunk to {longest_side} pixels.", "Set --size to 1 or more."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f"{out} already exists.", "Name a new folder with --out, or remove that one first."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        encode = _Encoder(longest_side, lossless)
        report = _write(dataset, unfinished, encode, images_per_shard)
        unfinished.chmod(0o755)
        unfinished.replace(out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return ShardReport(rows=report.rows, path=out, fingerprint=report.fingerprint)


class _Encoder:
    """Encodes one image as a file of a shard."""

    def __init__(self, longest_side: int | None, lossless: bool) -> None:
        self.longest_side, self.lossless = longest_side, lossless
        self.suffix = "png" if lossless else "jpg"
        self._flat = Preprocessing(input_size=1).flat  # puts transparent pixels over white

    def __call__(self, image: Image.Image) -> bytes:
        image = self._flat(image)
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


def _write(dataset: Dataset, folder: Path, encode: _Encoder, most: int) -> ShardReport:
    """Writes the shards, rows.npz and shards.json into an existing folder."""
    sets: dict[str, ImageSet] = {split: getattr(dataset, split) for split in SPLITS}
    shards: list[Shard] = []
    columns: list[dict[str, Integers]] = []
    with progress("Writing shards", total=sum(map(len, sets.values())), unit="image") as bar:
        for split, images in sets.items():
            shard_of, offset, size = np.zeros((3, len(images)), np.int64)
            for members, shard in _shards_of(split, images, folder, encode, most):
                indices, offsets, sizes = np.array(members).T
                shard_of[indices] = len(shards)
                offset[indices], size[indices] = offsets, sizes
                shards.append(shard)
                bar.advance(shard.images)
            columns.append(_columns(split, images, shard_of, offset, size))
    arrays = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    rows_sha256 = _write_rows(folder, arrays, sets)
    rows = [_summary(split, images, shards) for split, images in sets.items()]
    document = ShardIndex(
        name=dataset.name,
        source_fingerprint=sha256_json([images.fingerprint for images in sets.values()]),
        images={row["split"]: row["images"] for row in rows},
        identities={row["split"]: row["identities"] for row in rows},
        domain_names=dataset.train.domain_names,
        gallery_domain=dataset.gallery_domain,
        longest_side=encode.longest_side,
        lossless=encode.lossless,
        shards=tuple(shards),
        rows_sha256=rows_sha256,
        fingerprint=sha256_json([rows_sha256, *(shard.sha256 for shard in shards)]),
        provenance=provenance(),
    )
    write_json(folder / INDEX, document.model_dump())
    return ShardReport(rows=rows, path=folder, fingerprint=document.fingerprint)


def _columns(
    split: str, images: ImageSet, shard: Integers, offset: Integers, size: Integers
) -> dict[str, Integers]:
    """The columns of rows.npz for one split, in the order and with the types of the file."""
    return {
        "split": np.full(len(images), SPLITS.index(split), np.int8),
        "identity": images.identities.astype(np.int32),
        "domain": images.domains,
        "shard": shard.astype(np.int32),
        "offset": offset,
        "size": size.astype(np.int32),
    }


def _write_rows(folder: Path, columns: dict[str, Integers], sets: dict[str, ImageSet]) -> str:
    """Writes rows.npz and returns its SHA-256."""
    keys = _text([key for images in sets.values() for key in images.keys])
    names = _text({split: images.identity_names for split, images in sets.items()})
    stream = io.BytesIO()
    np.savez(stream, **columns, keys=keys, identity_names=names)
    write_atomic(folder / ROWS, stream.getvalue())
    return hashlib.sha256(stream.getvalue()).hexdigest()


def _summary(split: str, images: ImageSet, shards: Sequence[Shard]) -> dict[str, Any]:
    """The row of a split in the report."""
    written = [shard for shard in shards if shard.split == split]
    return {
        "split": split,
        "images": len(images),
        "identities": len(np.unique(images.identities)),
        "shards": len(written),
        "size_mb": sum(shard.bytes for shard in written) / 1e6,
    }


def _text(value: Any) -> Integers:
    """A JSON value as an array of its UTF-8 bytes, since names may contain any character."""
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)


def _shards_of(
    split: str, images: ImageSet, folder: Path, encode: _Encoder, most: int
) -> Iterator[tuple[list[tuple[int, int, int]], Shard]]:
    """Writes the shards of one split, the training images in a fixed random order.

    Yields:
        (index, offset, size) of each image in a shard, and the shard's entry in shards.json.
    """
    order = np.arange(len(images))
    if split == "train":
        order = np.random.default_rng(0).permutation(order)
    waiting: list[tuple[int, bytes]] = []
    weight = count = 0
    for index, content in _encoded(images, order, encode):
        waiting.append((index, content))
        weight += len(content)
        if len(waiting) == most or weight >= SHARD_BYTES:
            yield _one_shard(split, count, images, waiting, folder, encode.suffix)
            waiting, weight, count = [], 0, count + 1
    if waiting:
        yield _one_shard(split, count, images, waiting, folder, encode.suffix)


def _encoded(images: ImageSet, order: Integers, encode: _Encoder) -> Iterator[tuple[int, bytes]]:
    """Index and file of each image in that order, encoded by several threads."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(order), _AT_ONCE):
            indices = order[start : start + _AT_ONCE].tolist()
            rows = images.rows[indices].tolist()
            contents = pool.map(lambda row: encode(images.source.image(row)), rows)
            yield from zip(indices, contents, strict=True)


def _one_shard(
    split: str,
    number: int,
    images: ImageSet,
    waiting: list[tuple[int, bytes]],
    folder: Path,
    suffix: str,
) -> tuple[list[tuple[int, int, int]], Shard]:
    """Writes one tar file; returns (index, offset, size) of its images and its entry."""
    import webdataset

    keys = images.source.keys
    stream = io.BytesIO()
    with webdataset.TarWriter(stream, encoder=False, mtime=0) as writer:
        for index, content in waiting:
            label = {
                "key": keys[images.rows[index]],
                "identity": images.identity_names[images.identities[index]],
                "domain": images.domain_names[images.domains[index]],
                "split": split,
            }
            text = json.dumps(label, ensure_ascii=False).encode()
            writer.write({"__key__": f"{index:09d}", suffix: content, "json": text})
    found = []
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        for member in archive:
            stem, _, ending = member.name.partition(".")
            if ending == suffix:
                found.append((int(stem), member.offset_data, member.size))
    file = write_atomic(folder / f"{split}-{number:05d}.tar", stream.getvalue())
    shard = Shard(
        file=file.name,
        split=split,
        images=len(waiting),
        bytes=len(stream.getvalue()),
        sha256=hashlib.sha256(stream.getvalue()).hexdigest(),
    )
    return found, shard
