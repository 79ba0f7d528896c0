"""Users' own images as a dataset: checked, split by identity, given a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_files import FileImages, ImageRecord, check_files
from edgecmp.data.image_set import ImageSet
from edgecmp.data.split import SPLITS, TEST_SHARE, VALIDATION_SHARE, split_identities
from edgecmp.errors import UserError, unknown_choice
from edgecmp.progress import say

__all__ = ["OnBadImage", "own_dataset"]

OnBadImage: TypeAlias = Literal["refuse", "skip"]
_GALLERY = "gallery"


def own_dataset(
    name: str,
    records: Sequence[ImageRecord],
    *,
    gallery_domain: str | None = None,
    on_bad_image: OnBadImage = "refuse",
    validation_share: float | None = None,
    test_share: float | None = None,
) -> Dataset:
    """The dataset of `records`.

    The split is what the records say, or 40 % of the identities for the test and a tenth of the
    others for validation, by the hash of their names. A validation split that is not given is taken
    from the training identities.

    Args:
        name: what the data is called in messages: its path.
        records: the images; the order does not matter.
        gallery_domain: the domain whose images form the gallery; None: the domain "gallery" if
            there is one, else the first image (by key) of each identity.
        on_bad_image: "refuse" the data where an image cannot be read, or "skip" those images.
        validation_share: share of the training identities, 0..1, instead of a tenth.
        test_share: share of all identities, 0..1, instead of 40 %.

    Raises:
        UserError: unreadable images, an unknown domain, an identity in two splits, or a share of a
            split that the records state.
    """
    records = sorted(records, key=lambda record: record.key)
    domain_names = tuple(sorted({record.domain for record in records}))
    gallery = _gallery_domain(name, domain_names, gallery_domain)
    splits = _splits(name, records, validation_share, test_share)
    digests, broken = check_files(records)
    if broken:
        _report_broken(name, records, broken, skip=on_bad_image == "skip")
    kept = [place for place in range(len(records)) if place not in broken]
    source = FileImages([records[place] for place in kept], [digests[place] for place in kept])
    identity_names = sorted({records[place].identity for place in kept})
    label = {identity: number for number, identity in enumerate(identity_names)}
    whole = ImageSet(
        name=name,
        identities=np.array([label[records[place].identity] for place in kept], np.int64),
        identity_names=tuple(identity_names),
        domains=np.array([domain_names.index(records[place].domain) for place in kept], np.int16),
        domain_names=domain_names,
        source=source,
        rows=np.arange(len(kept), dtype=np.int64),
    )
    split = np.array([SPLITS.index(splits[identity]) for identity in identity_names], np.int64)
    of_image = split[whole.identities]
    train, validation, test = (whole.subset(of_image == part).relabelled() for part in range(3))
    return Dataset(name=name, train=train, validation=validation, test=test, gallery_domain=gallery)


def _gallery_domain(name: str, domains: Sequence[str], asked: str | None) -> str | None:
    """The domain whose images are the gallery, or None for each identity's first image."""
    named = [domain for domain in domains if domain]
    if asked is None:
        return _GALLERY if _GALLERY in named else None
    if not named:
        raise UserError(
            f"{name} has no domains, so {asked!r} cannot be its gallery domain.",
            "Leave the gallery domain out, or add a column 'domain' to a manifest.",
        )
    if asked not in named:
        raise unknown_choice("gallery domain", asked, named)
    return asked


def _splits(
    name: str,
    records: Sequence[ImageRecord],
    validation_share: float | None,
    test_share: float | None,
) -> dict[str, str]:
    """Identity -> split, as the records say or by hash."""
    given: dict[str, str] = {}
    for record in records:
        if given.setdefault(record.identity, record.split) != record.split:
            raise UserError(
                f"{name}: the identity {record.identity!r} is in two splits, "
                f"{given[record.identity] or 'none'} and {record.split or 'none'} ({record.key}).",
                "Put all images of an identity into one split.",
            )
    stated = set(given.values())
    held_out = VALIDATION_SHARE if validation_share is None else validation_share
    if stated == {""}:
        tested = TEST_SHARE if test_share is None else test_share
        return split_identities(given, test_share=tested, validation_share=held_out)
    if "" in stated:
        lost = next(identity for identity, split in given.items() if not split)
        raise UserError(
            f"{name}: the identity {lost!r} has no split while others have one.",
            "Give every image a split, or none.",
        )
    for key, share in (("validation", validation_share), ("test", test_share)):
        if share is not None and (key == "test" or key in stated):
            raise UserError(
                f"{name} states its splits itself, so {key}_share cannot be set.",
                f"Leave {key}_share out, or the splits.",
            )
    if "validation" not in stated:
        training = [identity for identity, split in given.items() if split == "train"]
        return given | split_identities(training, test_share=0.0, validation_share=held_out)
    return given


def _report_broken(
    name: str, records: Sequence[ImageRecord], broken: dict[int, str], *, skip: bool
) -> None:
    """Refuses images that cannot be read, or says which are left out."""
    listed = [f"{records[place].key} ({reason})" for place, reason in broken.items()]
    named = ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
    counted = f"{len(broken)} of {len(records)} images of {name} cannot be read: {named}."
    if len(broken) == len(records):
        raise UserError(counted, "Check the paths and the files.")
    if not skip:
        raise UserError(
            counted,
            'Repair or remove them, or leave them out with on_bad_image = "skip" (see README).',
        )
    say(f"Skipped images: {counted}")
