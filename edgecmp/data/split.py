"""Splits identities into training, validation and test by their names, reproducibly.

Sizes: 40 % of the identities are the test, and a tenth of the others is the hold-out. Where a tenth
would pose fewer than 20 queries, the hold-out is larger, up to a third of the others. From six
identities on, each of the three parts has at least two, which is the least that can be judged.

Identities that pose no query, such as those with one image, are divided by the same shares. An
identity that poses more than a tenth of all queries, and more than ten times as many as the median
one, would decide a figure alone, so it is trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

__all__ = [
    "LEAST_QUERIES",
    "SPLITS",
    "TEST_SHARE",
    "VALIDATION_SHARE",
    "dominant",
    "named_part",
    "split_identities",
]

SPLITS = ("train", "validation", "test")
TEST_SHARE = 0.4
VALIDATION_SHARE = 0.1
"""Share of the identities outside the test split: the hold-out of searches (supplement A.1)."""

LEAST_QUERIES = 20
"""Queries of a hold-out, if a third of the identities outside the test split pose that many."""

_SIX = 6
"""The fewest identities of which each part has two."""

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
    queries: Mapping[str, int] | None = None,
    test_share: float = TEST_SHARE,
    validation_share: float = VALIDATION_SHARE,
    least_queries: int = 0,
) -> dict[str, str]:
    """The split of each identity: "train", "validation" or "test", by name.

    Identities are ordered by the SHA-256 of their names, so that the split depends neither on a
    library's random numbers nor on the order of the files. Validation gets at least two
    identities, the minimum for a retrieval task, if at least two remain for training; so does the
    test split if there is one and four identities remain.

    Args:
        names: the identities.
        queries: number of queries that each identity poses in validation or test; None: one each.
        least_queries: of validation, as far as a third of the identities outside the test split
            poses them.
        test_share: share of the identities, 0..1, for the test split.
        validation_share: share of the remaining identities, 0..1, that is held out for searches;
            the paper uses 5 % for faces and 10 % for fashion.
    """
    shuffled = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    posed = dict.fromkeys(shuffled, 1) if queries is None else queries
    heavy = set(dominant(posed))
    asking = [name for name in shuffled if posed.get(name) and name not in heavy]
    silent = [name for name in shuffled if not posed.get(name)]

    test = round(len(asking) * test_share)
    if test and len(asking) >= _SIX:
        test = max(2, test)
    others = len(asking) - test
    validation = min(max(2, round(others * validation_share)), others // 2)
    while (
        validation < others // 3
        and sum(posed[name] for name in asking[test : test + validation]) < least_queries
    ):
        validation += 1
    quiet_test = round(len(silent) * test_share)
    quiet_validation = round((len(silent) - quiet_test) * validation_share)
    return {
        **dict.fromkeys(shuffled, "train"),
        **_divided(asking, test, validation),
        **_divided(silent, quiet_test, quiet_validation),
    }


def dominant(queries: Mapping[str, int]) -> list[str]:
    """The identities that pose so many queries that a figure would be theirs alone.

    Args:
        queries: number of queries that each identity would pose.
    """
    posed = [count for count in queries.values() if count]
    if not posed:
        return []
    most = max(sum(posed) / 10, 10 * median(posed))
    return sorted(name for name, count in queries.items() if count > most)


def _divided(names: Sequence[str], test: int, validation: int) -> dict[str, str]:
    """The first names for the test, and the next for validation."""
    return {
        **dict.fromkeys(names[:test], "test"),
        **dict.fromkeys(names[test : test + validation], "validation"),
    }
