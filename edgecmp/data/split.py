"""Splits identities into training, validation and test by their names, reproducibly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

__all__ = ["SPLITS", "TEST_SHARE", "VALIDATION_SHARE", "named_part", "split_identities"]

SPLITS = ("train", "validation", "test")
TEST_SHARE = 0.4
VALIDATION_SHARE = 0.1
"""Share of the identities outside the test split: the hold-out of searches (supplement A.1)."""

_PARTS = {
    "train": ("train", ""),
    "training": ("train", ""),
    "val": ("validation", ""),
    "valid": ("validation", ""),
    "validation": ("validation", ""),
    "dev": ("validation", ""),
    "test": ("test", ""),
    "testing": ("test", ""),
    "query": ("test", "query"),
    "queries": ("test", "query"),
    "gallery": ("test", "gallery"),
}


def named_part(name: str) -> tuple[str, str] | None:
    """The split and the domain that a folder or a cell names, in any case; None: it names neither.

    "Train" is ("train", ""), "valid" is ("validation", ""), and "query" is ("test", "query").
    """
    return _PARTS.get(name.casefold())


def split_identities(
    names: Iterable[str],
    *,
    test_share: float = TEST_SHARE,
    validation_share: float = VALIDATION_SHARE,
) -> dict[str, str]:
    """The split of each identity: "train", "validation" or "test", by name.

    Identities are ordered by the SHA-256 of their names, so that the split depends neither on a
    library's random numbers nor on the order of the files. Validation gets at least two
    identities, the minimum for a retrieval task, if at least two remain for training.

    Args:
        names: the identities.
        test_share: share of the identities, 0..1, for the test split.
        validation_share: share of the remaining identities, 0..1, that is held out for searches;
            the paper uses 5 % for faces and 10 % for fashion.
    """
    shuffled = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    test = round(len(shuffled) * test_share)
    others = len(shuffled) - test
    validation = min(max(2, round(others * validation_share)), others // 2)
    counts = {"test": test, "validation": validation, "train": others - validation}
    parts = [split for split, count in counts.items() for _ in range(count)]
    return dict(zip(shuffled, parts, strict=True))
