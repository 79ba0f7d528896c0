"""Writes a dataset as shards (see `edgecmp.data.shards`): decoded once, cut, shrunk, shuffled."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_set import ImageSet, Integers
from edgecmp.data.shards import INDEX, ROW_ARRAYS, ROWS, Shard, ShardIndex
from edgecmp.data.split import SPLITS
from edgecmp.errors import UserError
from edgecmp.files import provenance, sha256_json, write_atomic, write_json
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import progress

__all__ = ["ShardReport", "write_shards"]

SHARD_IMAGES = 4096
SHARD_BYTES = 128 * 2**20
JPEG_QUALITY = 95
_THREADS = min(8, os.cpu_count() or 1)
_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardReport:
    """Rows of "split", "images", "identities", "shards" and "size_mb"."""

    rows: list[dict[str, Any]]
    path: Path
    fingerprint: str

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

    The same images give the same bytes. The folder is there when all of it is.

    Args:
        longest_side: images whose longer side has more pixels are shrunk to it, as
            `Preprocessing` would; None keeps every size.
        lossless: PNG instead of JPEG of quality 95: networks then read the very pixels that they
            would read from the images, at 3 to 6 times the size.
        images_per_shard: at most.

    Raises:
        UserError: `out` is there already, an image cannot be read, or the disk is full.
    """
    out = Path(out)
    if longest_side is not None and longest_side < 1:
        raise UserError(f"Images of {longest_side} pixels hold nothing.", "Give a size above 0.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already.", "Name a new folder, or remove that one first.")
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
    """One image as the file that a shard keeps."""

    def __init__(self, longest_side: int | None, lossless: bool) -> None:
        self.longest_side, self.lossless = longest_side, lossless
        self.suffix = "png" if lossless else "jpg"
        self._flat = Preprocessing(input_size=1).flat  # transparent parts over its background

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
    """Everything but the move of the finished folder."""
    sets: dict[str, ImageSet] = {split: getattr(dataset, split) for split in SPLITS}
    columns: dict[str, list[Integers]] = {name: [] for name in ROW_ARRAYS[:6]}
    shards: list[Shard] = []
    rows: list[dict[str, Any]] = []
    with progress("Writing shards", total=sum(map(len, sets.values())), unit="image") as bar:
        for number, (split, images) in enumerate(sets.items()):
            places = {name: np.zeros(len(images), np.int64) for name in ("shard", "offset", "size")}
            before = len(shards)
            for members, shard in _shards_of(split, images, folder, encode, most):
                for index, offset, size in members:
                    for name, value in (("shard", len(shards)), ("offset", offset), ("size", size)):
                        places[name][index] = value
                shards.append(shard)
                bar.advance(shard.images)
            columns["split"].append(np.full(len(images), number, np.int8))
            columns["identity"].append(images.identities.astype(np.int32))
            columns["domain"].append(images.domains)
            for name, array in places.items():
                columns[name].append(array.astype(np.int64 if name == "offset" else np.int32))
            mine = shards[before:]
            rows.append(
                {
                    "split": split,
                    "images": len(images),
                    "identities": len(np.unique(images.identities)),
                    "shards": len(mine),
                    "size_mb": sum(shard.bytes for shard in mine) / 1e6,
                }
            )
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    arrays["keys"] = _text([key for images in sets.values() for key in images.keys])
    arrays["identity_names"] = _text({k: images.identity_names for k, images in sets.items()})
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    write_atomic(folder / ROWS, stream.getvalue())
    rows_sha256 = hashlib.sha256(stream.getvalue()).hexdigest()
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


def _text(value: Any) -> Integers:
    """A JSON value as the bytes of an array: names may hold any character."""
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)


def _shards_of(
    split: str, images: ImageSet, folder: Path, encode: _Encoder, most: int
) -> Iterator[tuple[list[tuple[int, int, int]], Shard]]:
    """Writes the shards of one split; (index, offset, size) of the images in each, and its entry.

    Training images come in a random order that is always the same.
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
    """Index and file of each image in that order, made by several threads."""
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
    """Writes one tar file and finds the images in it."""
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
