"""Which identities are for training, validation and test: by their names, the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

__all__ = ["SPLITS", "TEST_SHARE", "VALIDATION_SHARE", "split_identities"]

SPLITS = ("train", "validation", "test")
TEST_SHARE = 0.4
VALIDATION_SHARE = 0.1
"""Of the identities that are not test: the search's hold-out (supplement A.1, fashion)."""


def split_identities(
    names: Iterable[str],
    *,
    test_share: float = TEST_SHARE,
    validation_share: float = VALIDATION_SHARE,
) -> dict[str, str]:
    """Identity name -> "train", "validation" or "test".

    Identities are ordered by the SHA-256 of their names, so neither a library's random numbers nor
    the order of the files matter. Validation gets two identities at least, as telling them apart
    takes two, where training keeps as many.

    Args:
        names: the identities.
        test_share: share of them, 0..1, that becomes the test split.
        validation_share: share of the others, 0..1, that is held out for the search; the paper's
            are 5 % for faces and 10 % for fashion.
    """
    shuffled = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    test = round(len(shuffled) * test_share)
    others = len(shuffled) - test
    validation = min(max(2, round(others * validation_share)), others // 2)
    counts = {"test": test, "validation": validation, "train": others - validation}
    parts = [split for split, count in counts.items() for _ in range(count)]
    return dict(zip(shuffled, parts, strict=True))
