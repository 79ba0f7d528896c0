"""A stored profile as text: its kinds and slowest operators."""

from __future__ import annotations

from typing import Any

from edgecmp.benchmarks.bench.operators import Operator, Profile, table

__all__ = ["profile_text"]

OPERATORS_SHOWN = 10


def profile_text(told: dict[str, Any]) -> str:
    """A profile for people: its kinds and slowest operators, or why there is none."""
    if told["reason"]:
        return f"No profile of {told['file']}: {told['reason']}."
    operators = tuple(
        Operator(**{**operator, "shape": tuple(operator["shape"])})
        for operator in told["operators"]
    )
    measured = Profile(operators=operators, whole_us=told["whole_us"])
    return f"{told['file']} in litert, 1 thread: {table(measured, OPERATORS_SHOWN)}"
