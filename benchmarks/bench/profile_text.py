"""A profile of a report as text: the kinds of operator and the slowest operators."""

from __future__ import annotations

from typing import Any

from edgecmp.benchmarks.bench.operators import Operator, Profile, table

__all__ = ["profile_text"]

OPERATORS_SHOWN = 10


def profile_text(document: dict[str, Any]) -> str:
    """The kinds of operator and the slowest operators of a profile, or why there is none.

    Args:
        document: as `file_profile` returns it.
    """
    if document["reason"]:
        return f"No profile of {document['file']}: {document['reason']}."
    operators = tuple(
        Operator(**{**operator, "shape": tuple(operator["shape"])})
        for operator in document["operators"]
    )
    measured = Profile(operators=operators, whole_us=document["whole_us"])
    return f"{document['file']} in litert, 1 thread: {table(measured, OPERATORS_SHOWN)}"
