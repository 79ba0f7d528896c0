"""Measures the best candidates on the device: the winner is the best that meets the bound there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import read_json
from edgecmp.networks.architecture import Architecture
from edgecmp.progress import say

__all__ = ["Remeasure", "Verification", "previous_verification", "verify"]

Remeasure = Callable[[Sequence[Architecture]], Sequence[float]]
"""Measures whole networks on the table's device: one latency in ms per architecture.

Raises a UserError if the device cannot be reached or cannot run the networks.
"""

BATCH_SIZE, MAX_MEASURED = 5, 25
"""Networks measured at once, and in all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """Latencies measured on the device, and the winner that follows from them.

    Attributes:
        measured_ms: of the first candidates of the ranking, as far as they were measured.
        winner: index in the ranking of the best candidate that meets the bound; of the fastest
            measured one if none does; of the best unmeasured one if measuring failed before that.
        satisfied: whether the winner's measured latency meets the bound; None if not measured.
    """

    measured_ms: tuple[float, ...] = ()
    winner: int = 0
    satisfied: bool | None = None


def previous_verification(
    result: Path, bound: Mapping[str, Any], *, evaluations: int
) -> Verification:
    """The measurements of a previous run of the same, finished search; empty without any.

    Args:
        result: the result.json of that run; it need not exist.
        bound: of the search, as `Constraint.to_dict` returns it.
        evaluations: candidates in the history; the ranking of fewer was another one.

    Raises:
        UserError: the file is not JSON, or its measurements were damaged.
    """
    if not result.exists():
        return Verification()
    document = read_json(result, what="the result of a search")
    expected = {
        "budget": bound["flops"],
        "latency_ms": bound.get("latency_ms"),
        "table": bound.get("table"),
        "evaluations": evaluations,
    }
    if any(document.get(key) != value for key, value in expected.items()):
        return Verification()
    if document.get("verified") is None:
        return Verification()
    try:
        latencies = [row["measured_ms"] for row in document["rows"]]
        measured = tuple(float(latency) for latency in latencies if latency is not None)
        winner = document["winner"] - 1
        whole = (
            isinstance(document["verified"], bool)
            and isinstance(winner, int)
            and 0 <= winner < len(measured)
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        whole = False
    if not whole or not all(math.isfinite(latency) and latency > 0 for latency in measured):
        raise UserError(
            f"{result} was changed or damaged: it does not contain the measurements of the winner.",
            "Delete the file, then rerun the command to measure again.",
        )
    return Verification(measured_ms=measured, winner=winner, satisfied=document["verified"])


def verify(
    ranked: Sequence[Architecture],
    predicted_ms: Sequence[float],
    bound_ms: float,
    remeasure: Remeasure,
    *,
    command: str,
) -> Verification:
    """Measures the ranking in batches of five until a candidate meets the bound.

    Args:
        ranked: best first.
        predicted_ms: latency of each by the latency table.
        bound_ms: the longest latency allowed.
        remeasure: measures networks.
        command: measures the winner later; it is suggested if the device fails.
    """
    measured: list[float] = []
    for start in range(0, min(MAX_MEASURED, len(ranked)), BATCH_SIZE):
        batch = ranked[start : min(start + BATCH_SIZE, MAX_MEASURED)]
        try:
            latencies = remeasure(batch)
        except UserError as error:
            say(f"The winner's latency is not verified: {error} To verify it later, run: {command}")
            return Verification(measured_ms=tuple(measured), winner=len(measured))
        measured += [latency for _, latency in zip(batch, latencies, strict=True)]
        for index in range(start, len(measured)):
            if measured[index] <= bound_ms:
                say(
                    f"Measured on the device, rank {index + 1} takes {measured[index]:.4g} ms "
                    f"({predicted_ms[index]:.4g} ms by the table) and meets the bound of "
                    f"{bound_ms:g} ms{'; those ranked above it do not' if index else ''}."
                )
                return Verification(measured_ms=tuple(measured), winner=index, satisfied=True)
    ratio = median(
        latency / predicted for latency, predicted in zip(measured, predicted_ms, strict=False)
    )
    fastest = min(range(len(measured)), key=measured.__getitem__)
    say(
        f"None of the best {len(measured)} candidates meets the bound of {bound_ms:g} ms on the "
        f"device: the fastest takes {measured[fastest]:.4g} ms, and the median is {ratio:.3f} "
        "times what the table predicts. Build the table again, or search with "
        f"--latency {bound_ms / ratio:.3g}ms."
    )
    return Verification(measured_ms=tuple(measured), winner=fastest, satisfied=False)
