"""Packs the embedded emoji set as the images of a user: folders, a table, shards, or no labels.

    python -m scripts.pack_emoji --out runs/folders                  # IDENTITY/VENDOR.png
    python -m scripts.pack_emoji --out runs/table --shape manifest --splits
    python -m scripts.pack_emoji --out runs/quarter --splits --share 0.25
    python -m scripts.pack_emoji --out runs/rest --shape flat --share 0.25 --left-out
    python -m scripts.pack_emoji --out runs/small --images 300 --vendors google twitter openmoji

| Shape | What is written |
|---|---|
| folders | a folder per identity with a file per vendor; with --splits below train/, validation/ and test/, where Google's drawings are in gallery/ and the others in query/ |
| manifest | the same files, and photos.csv; with --domains vendors also photos.toml, which names the gallery's domain |
| flat | files without labels: of the training identities alone with --splits or --share |
| shards | `edgecmp data shard --lossless`, with the splits and with vendors as domains |

Pixels are those of the embedded set. Selections are by the hash of names: a smaller number of
identities or images, or a smaller --share, is a part of a larger one. --share keeps that share of
each identity's training images (one at least) and all others; --left-out keeps what it drops.

Give --splits where the starter kit's supernet is the start: that network was trained on the
identities of the embedded training split, which another split of fewer identities would test it on.
Without --splits all 1,814 identities are split by edgecmp as the embedded set is, except for the
few whose names are shortened for the file system.
"""  # noqa: E501

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgecmp.data import Dataset, ImageSet, load_dataset
from edgecmp.data.shard_writer import write_shards

__all__ = ["Drawing", "folder_name", "main", "select"]

DOMAINS = ("none", "roles", "vendors")
GALLERY = "google"
LONGEST_NAME = 200
"""Characters of a folder's name; file systems allow 255 bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """One image of the embedded set, and its place in the set of its split.

    Attributes:
        split: "train", "validation" or "test".
        identity: name of the identity.
        vendor: who drew it.
        index: of the image in the set of its split.
    """

    split: str
    identity: str
    vendor: str
    index: int

    @property
    def order(self) -> bytes:
        """A random number that depends on the name alone."""
        return _hash(f"{self.vendor}/{self.identity}")


def _hash(text: str) -> bytes:
    return hashlib.sha256(f"packed {text}".encode()).digest()


def folder_name(identity: str) -> str:
    """The name of an identity, shortened for file systems if it has many code points."""
    if len(identity) <= LONGEST_NAME:
        return identity
    return f"{identity[:100]}~{_hash(identity).hex()[:8]}"


def drawings(dataset: Dataset) -> list[Drawing]:
    """All images of the set."""
    found = []
    for split, images in _sets(dataset).items():
        labels = zip(images.identities, images.domains, strict=True)
        for index, (identity, domain) in enumerate(labels):
            names = images.identity_names[identity], images.domain_names[domain]
            found.append(Drawing(split=split, identity=names[0], vendor=names[1], index=index))
    return found


def _sets(dataset: Dataset) -> dict[str, ImageSet]:
    return {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}


def select(
    among: Sequence[Drawing],
    *,
    vendors: Sequence[str] = (),
    identities: int | None = None,
    images: int | None = None,
    share: float = 1.0,
    left_out: bool = False,
) -> list[Drawing]:
    """The drawings to pack, sorted by identity and vendor.

    Args:
        among: the drawings to choose from.
        vendors: theirs alone; all if empty.
        identities: the number of identities; all if None.
        images: the number of images, of whole identities except for the last one.
        share: of each identity's training images, 0..1; at least one of them is kept.
        left_out: the training images that `share` drops instead of everything else.

    Raises:
        ValueError: there are not so many identities or images.
    """
    by_identity: dict[str, list[Drawing]] = {}
    for drawing in sorted(among, key=lambda one: one.order):
        if not vendors or drawing.vendor in vendors:
            by_identity.setdefault(drawing.identity, []).append(drawing)
    names = sorted(by_identity, key=_hash)
    total = sum(map(len, by_identity.values()))
    for asked, known, noun in ((identities, len(names), "identities"), (images, total, "images")):
        if asked is not None and asked > known:
            raise ValueError(f"there are {known:,} {noun}, not {asked:,}")
    chosen = [drawing for name in names[:identities] for drawing in by_identity[name]]
    chosen = chosen[:images]
    if share < 1 or left_out:
        chosen = [one for one in chosen if left_out != (one in _kept(chosen, share))]
    return sorted(chosen, key=lambda one: (one.identity, one.vendor))


def _kept(chosen: Sequence[Drawing], share: float) -> set[Drawing]:
    """All drawings but those of training identities beyond the share of each."""
    kept = {one for one in chosen if one.split != "train"}
    of_identity: dict[str, list[Drawing]] = {}
    for one in chosen:
        if one.split == "train":
            of_identity.setdefault(one.identity, []).append(one)
    for ones in of_identity.values():
        kept.update(ones[: max(1, math.floor(share * len(ones) + 0.5))])
    return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Packer:
    """Writes drawings below a folder.

    Attributes:
        out: the folder.
        dataset: the embedded set.
        gallery: the vendor whose drawings form the gallery.
        splits: whether the embedded split is kept.
        domains: of a manifest: "none", "roles" (query and gallery) or "vendors".
        suffix: "png" or "webp".
    """

    out: Path
    dataset: Dataset
    gallery: str
    splits: bool
    domains: str
    suffix: str

    def folders(self, chosen: Sequence[Drawing]) -> None:
        """A folder per identity, below those of the splits if they are kept."""
        for one, name in zip(chosen, self._paths(chosen, by_split=self.splits), strict=True):
            self._write(one, name)

    def manifest(self, chosen: Sequence[Drawing]) -> None:
        """A folder per identity, and photos.csv."""
        table = io.StringIO()
        rows = csv.DictWriter(table, list(self._row(chosen[0], "")), lineterminator="\n")
        rows.writeheader()
        for one, name in zip(chosen, self._paths(chosen, by_split=False), strict=True):
            self._write(one, name)
            rows.writerow(self._row(one, name))
        (self.out / "photos.csv").write_text(table.getvalue())
        if self.domains == "vendors":
            text = f'path = "photos.csv"\ngallery_domain = "{self.gallery}"\n'
            (self.out / "photos.toml").write_text(text)

    def flat(self, chosen: Sequence[Drawing]) -> None:
        """Files without labels, in a random order."""
        for number, one in enumerate(sorted(chosen, key=lambda one: one.order), start=1):
            self._write(one, f"IMG_{number:05d}.{self.suffix}")

    def shards(self, chosen: Sequence[Drawing]) -> None:
        """Shards of all three splits, without loss."""
        train, validation, test = (
            images.subset([one.index for one in chosen if one.split == split]).relabelled()
            for split, images in _sets(self.dataset).items()
        )
        packed = replace(
            self.dataset,
            train=train,
            validation=validation,
            test=test,
            gallery_domain=self.gallery,
        )
        write_shards(packed, self.out, lossless=True)

    def _paths(self, chosen: Sequence[Drawing], *, by_split: bool) -> Iterator[str]:
        for one in chosen:
            name = f"{folder_name(one.identity)}/{one.vendor}.{self.suffix}"
            if by_split and one.split == "train":
                name = f"train/{name}"
            elif by_split:
                name = f"{one.split}/{self._role(one)}/{name}"
            yield name

    def _role(self, one: Drawing) -> str:
        return "gallery" if one.vendor == self.gallery else "query"

    def _row(self, one: Drawing, name: str) -> dict[str, str]:
        """A drawing's row of the table."""
        row = {"path": name, "identity": one.identity}
        if self.domains != "none":
            row["domain"] = self._role(one) if self.domains == "roles" else one.vendor
        if self.splits:
            row["split"] = one.split
        return row

    def _write(self, one: Drawing, name: str) -> None:
        images = _sets(self.dataset)[one.split]
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = images.source.image(int(images.rows[one.index]))
        if self.suffix == "png":
            image.save(path, compress_level=1)
        else:
            image.save(path, lossless=True, quality=0, method=0)  # of the search for a small file


def _arguments(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[Drawing]]:
    """The arguments of the command line, and the drawings that they select."""
    dataset = load_dataset("emoji")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument(
        "--shape", choices=("folders", "manifest", "flat", "shards"), default="folders"
    )
    parser.add_argument("--vendors", nargs="+", default=[], metavar="NAME", help="these alone")
    parser.add_argument("--identities", type=int, metavar="N", help="so many identities")
    parser.add_argument("--images", type=int, metavar="N", help="so many images")
    parser.add_argument("--share", type=float, default=1.0, help="of the training images, 0 to 1")
    parser.add_argument("--left-out", action="store_true", help="what --share drops instead")
    parser.add_argument("--splits", action="store_true", help="keep the embedded split")
    parser.add_argument("--domains", choices=DOMAINS, default="roles", help="of a manifest")
    parser.add_argument("--format", choices=("png", "webp"), default="png")
    given = parser.parse_args(arguments)
    if given.out.exists() and any(given.out.iterdir()):
        parser.error(f"{given.out} is not empty; name a new folder")
    unknown = set(given.vendors) - set(dataset.train.domain_names)
    if unknown:
        parser.error(f"unknown vendors {sorted(unknown)}; choose {dataset.train.domain_names}")
    if not 0 < given.share <= 1:
        parser.error("--share must be above 0 and at most 1")
    if given.share < 1 and not given.splits and given.shape in ("folders", "manifest"):
        parser.error("--share needs --splits: the training images are otherwise not known")
    among = drawings(dataset)
    if given.shape == "flat" and (given.splits or given.share < 1):
        among = [one for one in among if one.split == "train"]
    try:
        chosen = select(
            among,
            vendors=given.vendors,
            identities=given.identities,
            images=given.images,
            share=given.share,
            left_out=given.left_out,
        )
    except ValueError as error:
        parser.error(str(error))
    if not chosen:
        parser.error("nothing is selected")
    return given, chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Packs the selected drawings, and prints how many there are."""
    given, chosen = _arguments(arguments)
    vendors = given.vendors or [GALLERY]
    packer = Packer(
        out=given.out,
        dataset=load_dataset("emoji"),
        gallery=GALLERY if GALLERY in vendors else vendors[0],
        splits=given.splits,
        domains=given.domains,
        suffix=given.format,
    )
    getattr(packer, given.shape)(chosen)
    identities = len({one.identity for one in chosen})
    print(f"{given.out}: {len(chosen):,} images of {identities:,} identities ({given.shape})")


if __name__ == "__main__":
    main()
