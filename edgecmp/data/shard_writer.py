"""Writes a dataset as shards (see `edgecmp.data.shards`): decoded, cropped, shrunk, shuffled."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_set import ImageSet, Integers
from edgecmp.data.shard_archive import ImageEncoder, archive, archived
from edgecmp.data.shards import CAMERA, CHECKSUM, INDEX, ROWS, Shard, ShardIndex
from edgecmp.data.split import SPLITS
from edgecmp.errors import UserError
from edgecmp.files import json_bytes, provenance, seal, sha256_json
from edgecmp.progress import progress, say
from edgecmp.report import Report
from edgecmp.storage import disk_errors
from edgecmp.storage.unfinished import Unfinished
from edgecmp.wording import counted

__all__ = ["ShardReport", "write_shards"]

SHARD_IMAGES = 4096
SHARD_BYTES = 128 * 2**20
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

    The same images always result in the same bytes. The folder appears once it is complete; until
    then, finished shards are kept in `.NAME.unfinished` beside it, and an interrupted run resumes.

    Args:
        dataset: the data.
        out: the folder, which must not exist or must be empty.
        longest_side: in pixels; images with a longer side are shrunk to it, as `Preprocessing`
            would; None keeps every size.
        lossless: write PNG instead of JPEG of quality 95: networks then read exactly the pixels of
            the original images, from files of 3 to 6 times the size.
        images_per_shard: the largest number of images in a shard.

    Raises:
        UserError: `out` exists already, an image cannot be read, the disk is full, or an
            interrupted run of other data or settings has left its shards.
    """
    out = Path(out)
    if longest_side is not None and longest_side < 1:
        raise UserError(
            f"Images cannot be shrunk to {longest_side} pixels.", "Set --size to 1 or more."
        )
    with disk_errors(out):
        place = out.resolve()
        exists = place.exists() and (not place.is_dir() or any(place.iterdir()))
    unfinished = place.parent / f".{place.name}.unfinished"
    if exists:
        if not (unfinished / "pieces").exists():  # killed when `out` was complete
            shutil.rmtree(unfinished, ignore_errors=True)
        raise UserError(
            f"{out} already exists.", "Name a new folder with --out, or remove that one first."
        )
    encode = ImageEncoder(longest_side, lossless)
    fingerprints = [getattr(dataset, split).fingerprint for split in SPLITS]
    settings = {
        "data": sha256_json([*fingerprints, dataset.gallery_domain]),
        "longest side": longest_side,
        "lossless": lossless,
        "images per shard": images_per_shard,
        "pillow": PIL.__version__,
    }
    with Unfinished.opened(unfinished, settings, what="folder of shards", result=out) as work:
        report = _write(dataset, work, encode, images_per_shard)
        with disk_errors(out):
            work.pieces.chmod(0o755)
            work.pieces.replace(place)
    return ShardReport(rows=report.rows, path=out, fingerprint=report.fingerprint)


def _write(dataset: Dataset, work: Unfinished, encode: ImageEncoder, most: int) -> ShardReport:
    """Writes the shards that are missing, rows.npz and shards.json."""
    sets: dict[str, ImageSet] = {split: getattr(dataset, split) for split in SPLITS}
    shards: list[Shard] = []
    columns: list[dict[str, Integers]] = []
    if len(work):
        say(f"Resuming: {counted(len(work), 'shard')} of an interrupted run can be used.")
    with progress("Writing shards", total=sum(map(len, sets.values())), unit="image") as bar:
        for split, images in sets.items():
            shard_of, offset, size, checksum = np.zeros((4, len(images)), np.int64)
            for members, shard in _shards_of(split, images, work, encode, most):
                indices, *values = np.array(members, np.int64).T
                offset[indices], size[indices], checksum[indices] = values
                shard_of[indices] = len(shards)
                shards.append(shard)
                bar.advance(shard.images)
            columns.append(_columns(split, images, shard_of, offset, size, checksum))
    arrays = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    rows_sha256 = _write_rows(work, arrays, sets)
    rows = [_summary(split, images, shards) for split, images in sets.items()]
    document = ShardIndex(
        name=dataset.name,
        source_fingerprint=sha256_json([images.fingerprint for images in sets.values()]),
        images={row["split"]: row["images"] for row in rows},
        identities={row["split"]: row["identities"] for row in rows},
        domain_names=dataset.train.domain_names,
        gallery_domain=dataset.gallery_domain,
        queries_note=dataset.queries_note,
        longest_side=encode.longest_side,
        lossless=encode.lossless,
        shards=tuple(shards),
        rows_sha256=rows_sha256,
        fingerprint=sha256_json([rows_sha256, *(shard.sha256 for shard in shards)]),
        provenance=provenance(),
    )
    work.write(work.pieces / INDEX, json_bytes(seal(document.model_dump())))
    return ShardReport(rows=rows, path=work.pieces, fingerprint=document.fingerprint)


def _columns(
    split: str,
    images: ImageSet,
    shard: Integers,
    offset: Integers,
    size: Integers,
    checksum: Integers,
) -> dict[str, Integers]:
    """The columns of rows.npz for one split, in the order and with the types of the file."""
    return {
        "split": np.full(len(images), SPLITS.index(split), np.int8),
        "identity": images.identities.astype(np.int32),
        "domain": images.domains,
        "shard": shard.astype(np.int32),
        "offset": offset,
        "size": size.astype(np.int32),
        CHECKSUM: checksum.astype(np.uint32),
        **({} if images.cameras is None else {CAMERA: images.cameras.astype(np.int32)}),
    }


def _write_rows(work: Unfinished, columns: dict[str, Integers], sets: dict[str, ImageSet]) -> str:
    """Writes rows.npz and returns its SHA-256."""
    keys = _text([key for images in sets.values() for key in images.keys])
    names = _text({split: images.identity_names for split, images in sets.items()})
    stream = io.BytesIO()
    np.savez(stream, **columns, keys=keys, identity_names=names)
    work.write(work.pieces / ROWS, stream.getvalue())
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
    split: str, images: ImageSet, work: Unfinished, encode: ImageEncoder, most: int
) -> Iterator[tuple[list[tuple[int, int, int, int]], Shard]]:
    """Writes the shards of one split that are missing, training images in a fixed random order.

    Yields:
        (index, offset, size, CRC-32) of each image in a shard, and the shard's entry in the index.
    """
    order = np.arange(len(images))
    if split == "train":
        order = np.random.default_rng(0).permutation(order)
    place = number = 0
    encoded: Iterator[tuple[int, bytes]] | None = None
    while place < len(order):
        name = f"{split}-{number:05d}.tar"
        content = work.get(name)
        if content is None:
            encoded = encoded or _encoded(images, order[place:], encode)
            content = archive(split, images, _next_files(encoded, most), encode.suffix)
            work.put(name, content)
        else:
            encoded = None
        members = archived(content, encode.suffix)
        yield (
            members,
            Shard(
                file=name,
                split=split,
                images=len(members),
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            ),
        )
        place, number = place + len(members), number + 1


def _next_files(encoded: Iterator[tuple[int, bytes]], most: int) -> list[tuple[int, bytes]]:
    """Index and file of the images of one shard."""
    files: list[tuple[int, bytes]] = []
    weight = 0
    for index, content in encoded:
        files.append((index, content))
        weight += len(content)
        if len(files) == most or weight >= SHARD_BYTES:
            break
    return files


def _encoded(
    images: ImageSet, order: Integers, encode: ImageEncoder
) -> Iterator[tuple[int, bytes]]:
    """Index and file of each image in that order, encoded by several threads."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(order), _AT_ONCE):
            indices = order[start : start + _AT_ONCE].tolist()
            rows = images.rows[indices].tolist()
            contents = pool.map(lambda row: encode(images.source.image(row)), rows)
            yield from zip(indices, contents, strict=True)
