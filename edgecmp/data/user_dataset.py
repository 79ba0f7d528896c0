"""The user's images as a dataset: checked, split by identity, with a gallery domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_files import FileImages, ImageRecord, check_files
from edgecmp.data.image_set import ImageSet
from edgecmp.data.posed_queries import posed_queries
from edgecmp.data.split import (
    LEAST_QUERIES,
    SPLITS,
    TEST_SHARE,
    VALIDATION_SHARE,
    dominant,
    split_identities,
)
from edgecmp.decoding import MAX_MEGAPIXELS
from edgecmp.errors import UserError, unknown_choice
from edgecmp.progress import say
from edgecmp.wording import clean_name, counted, named

__all__ = ["OnBadImage", "user_dataset"]

OnBadImage: TypeAlias = Literal["refuse", "skip"]
_GALLERY = "gallery"


def user_dataset(
    name: str,
    records: Sequence[ImageRecord],
    *,
    gallery_domain: str | None = None,
    on_bad_image: OnBadImage = "refuse",
    validation_share: float | None = None,
    test_share: float | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Dataset:
    """The dataset of `records`.

    The records may assign the splits. If they do not, identities are assigned by the hash of their
    names, in the sizes of `edgecmp.data.split`. If they assign no validation split, it is taken
    from the training identities.

    Of images that have no labels, which are called by their keys, those of the same file are read
    once.

    Args:
        name: name of the data in messages: its path.
        records: the images, in any order.
        gallery_domain: the domain whose images form the gallery; None: the domain "gallery" if
            there is one, else the first image (by key) of each identity.
        on_bad_image: "refuse" the data if an image cannot be read, or "skip" such images.
        validation_share: share of the training identities, 0..1; None: a tenth, or more of small
            data.
        test_share: share of all identities, 0..1; None: 40 %.
        max_megapixels: larger images count as images that cannot be read.

    Raises:
        UserError: images cannot be read, the domain is unknown, an identity is in two splits, a
            share is given for a split that the records assign, or only some images have a camera.
    """
    records = sorted(records, key=lambda record: record.key)
    domain_names = tuple(sorted({record.domain for record in records}))
    gallery = _gallery_domain(name, domain_names, gallery_domain)
    splits = _splits(name, records, gallery, validation_share, test_share)
    cameras = _camera_numbers(name, records)
    readable = _readable(name, records, on_bad_image, max_megapixels)
    images = _image_set(name, *readable, domain_names, cameras)
    split = np.array([SPLITS.index(splits[identity]) for identity in images.identity_names])
    of_image = split[images.identities]
    train, validation, test = (images.subset(of_image == part).relabelled() for part in range(3))
    return Dataset(name=name, train=train, validation=validation, test=test, gallery_domain=gallery)


def _gallery_domain(name: str, domains: Sequence[str], asked: str | None) -> str | None:
    """The domain whose images form the gallery, or None for each identity's first image."""
    present = [domain for domain in domains if domain]
    if asked is None:
        if not present or _GALLERY in present:
            return _GALLERY if present else None
        verb = "is the domain" if len(present) == 1 else "are the domains"
        say(
            f"In {name} there {verb} {named(present)}, and none is called 'gallery', so the first "
            "image of each identity forms the gallery, whatever its domain. gallery_domain in a "
            ".toml description of the data names another gallery."
        )
        return None
    if not present:
        raise UserError(
            f"{name} has no domains, so {asked!r} cannot be its gallery domain.",
            "Remove gallery_domain, or add a column `domain` to a manifest of the images.",
        )
    if clean_name(asked) not in present:
        raise unknown_choice("gallery domain", asked, present)
    if len(domains) == 1:
        raise UserError(
            f"All images of {name} are of the domain {asked!r}, so none would be a query.",
            "Remove gallery_domain: the first image of each identity then forms the gallery.",
        )
    return clean_name(asked)


def _splits(
    name: str,
    records: Sequence[ImageRecord],
    gallery: str | None,
    validation_share: float | None,
    test_share: float | None,
) -> Mapping[str, str]:
    """The split of each identity: assigned by the records, or else by hash."""
    assigned = _assigned_splits(name, records)
    queries = posed_queries(records, gallery)
    _report_unasked(name, queries, gallery)
    if set(assigned.values()) != {""}:
        _check_assigned(name, assigned, validation_share, test_share)
        if "validation" in assigned.values():
            return assigned
        test_share = 0.0
    divided = [identity for identity, split in assigned.items() if split in ("", "train")]
    queries = {identity: queries[identity] for identity in divided}
    for identity in dominant(queries):
        say(
            f"{identity!r} would pose {queries[identity]:,} of the {sum(queries.values()):,} "
            f"queries of {name} and decide every figure, so it is trained on."
        )
    return assigned | split_identities(
        divided,
        queries=queries,
        test_share=TEST_SHARE if test_share is None else test_share,
        validation_share=VALIDATION_SHARE if validation_share is None else validation_share,
        least_queries=LEAST_QUERIES if validation_share is None else 0,
    )


def _report_unasked(name: str, queries: Mapping[str, int], gallery: str | None) -> None:
    """Says how many identities have one image where each first image is in the gallery."""
    single = sum(not count for count in queries.values())
    if gallery is None and single:
        say(
            f"{single:,} of {counted(len(queries), 'identity')} of {name} "
            f"{'has' if single == 1 else 'have'} one image, which no query asks for: in a gallery "
            "it is a distractor."
        )


def _assigned_splits(name: str, records: Sequence[ImageRecord]) -> dict[str, str]:
    """The split that the records assign to each identity; "" for none."""
    assigned: dict[str, str] = {}
    for record in records:
        first = assigned.setdefault(record.identity, record.split)
        if first != record.split:
            raise UserError(
                f"{name}: the identity {record.identity!r} is in two splits, "
                f"{first or 'none'} and {record.split or 'none'} ({record.key}).",
                "Assign all images of an identity to one split.",
            )
    return assigned


def _check_assigned(
    name: str,
    assigned: Mapping[str, str],
    validation_share: float | None,
    test_share: float | None,
) -> None:
    """Refuses splits that are assigned to some identities only, and shares of assigned splits."""
    splits = set(assigned.values())
    if "" in splits:
        missing = next(identity for identity, split in assigned.items() if not split)
        raise UserError(
            f"{name}: the identity {missing!r} has no split, although other identities have one.",
            "Assign a split to every image, or to none.",
        )
    unused = {
        "validation_share": validation_share is not None and "validation" in splits,
        "test_share": test_share is not None,
    }
    for key in (key for key, given in unused.items() if given):
        raise UserError(
            f"{name} assigns its images to splits, so {key} has no effect.",
            f"Remove {key} from the description, or the splits from the data.",
        )


def _readable(
    name: str, records: Sequence[ImageRecord], on_bad_image: OnBadImage, max_megapixels: float
) -> tuple[list[ImageRecord], FileImages]:
    """The records whose images can be read, and the source of their pixels."""
    digests, broken = check_files(records, max_megapixels=max_megapixels)
    if broken:
        _report_broken(name, records, broken, skip=on_bad_image == "skip")
    kept = [place for place in range(len(records)) if place not in broken]
    if all(record.identity == record.key for record in records):
        kept = _different(name, records, digests, kept)
    readable = [records[place] for place in kept]
    digests = [digests[place] for place in kept]
    return readable, FileImages(readable, digests, max_megapixels=max_megapixels)


def _different(
    name: str, records: Sequence[ImageRecord], digests: Sequence[str], kept: Sequence[int]
) -> list[int]:
    """The first of all images of the same file and box: its copies would be its own queries."""
    first: dict[tuple[str, object], int] = {}
    for place in kept:
        first.setdefault((digests[place], records[place].box), place)
    copies = len(kept) - len(first)
    if copies:
        say(f"Left out {counted(copies, 'image')} of {name} with the same file as an earlier one.")
    return list(first.values())


def _image_set(
    name: str,
    records: Sequence[ImageRecord],
    source: FileImages,
    domain_names: tuple[str, ...],
    cameras: Mapping[str, int] | None,
) -> ImageSet:
    identity_names = sorted({record.identity for record in records})
    label = {identity: number for number, identity in enumerate(identity_names)}
    domain = {name: number for number, name in enumerate(domain_names)}
    of_camera = None
    if cameras is not None:
        of_camera = np.array([cameras[record.camera] for record in records], np.int64)
    return ImageSet(
        name=name,
        identities=np.array([label[record.identity] for record in records], np.int64),
        identity_names=tuple(identity_names),
        domains=np.array([domain[record.domain] for record in records], np.int16),
        domain_names=domain_names,
        source=source,
        rows=np.arange(len(records), dtype=np.int64),
        cameras=of_camera,
    )


def _camera_numbers(name: str, records: Sequence[ImageRecord]) -> Mapping[str, int] | None:
    """The number of each camera; None if the images have none."""
    names = sorted({record.camera for record in records})
    if names == [""]:
        return None
    if "" in names:
        missing = next(record.key for record in records if not record.camera)
        raise UserError(
            f"{name}: the image {missing} has no camera, although other images have one.",
            "Name the camera of every image, or of none.",
        )
    return {camera: number for number, camera in enumerate(names)}


def _report_broken(
    name: str, records: Sequence[ImageRecord], broken: Mapping[int, str], *, skip: bool
) -> None:
    """Refuses images that cannot be read, or reports which are skipped."""
    listed = [f"{records[place].key} ({reason})" for place, reason in broken.items()]
    found = f"{len(broken):,} of {counted(len(records), 'image')} of {name} cannot be read"
    if len(broken) == len(records):
        raise UserError(
            f"{found}: {named(listed)}.", "Check the paths of the images and the files."
        )
    if not skip:
        raise UserError(
            f"{found}: {named(listed)}.",
            'Repair or remove them, or set on_bad_image = "skip" in a .toml description of the '
            "data (see docs/reference/data-formats.md).",
        )
    verb = "is" if len(broken) == 1 else "are"
    say(f"{found} and {verb} skipped: {named(listed)}.")
