"""Winners measured again on the device: the best candidate that really holds the latency bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import read_json
from edgecmp.networks.architecture import Architecture
from edgecmp.progress import say

__all__ = ["Remeasure", "Verification", "earlier", "verify"]

Remeasure = Callable[[Sequence[Architecture]], Sequence[float]]
"""Measures whole networks on the table's device: milliseconds, one an architecture.

Raises a UserError if the device cannot be reached or the networks cannot be run there.
"""

BATCH, MOST = 5, 25
"""Networks measured at once, and in all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What measuring found.

    Attributes:
        measured_ms: of the first candidates of the ranking, as far as they were measured.
        winner: position in the ranking: the best that holds the bound; if none does, the one
            measured fastest; if it could not be measured, the best of those that may hold it.
        holds: whether the winner's measured latency holds the bound; None if it was not measured.
    """

    measured_ms: tuple[float, ...] = ()
    winner: int = 0
    holds: bool | None = None


def earlier(result: Path, bound: Mapping[str, Any], evaluations: int) -> Verification:
    """What an earlier run of the same, finished search measured; nothing if it measured nothing.

    Args:
        result: the result.json that it wrote, or would have written.
        bound: the search's, as `Constraint.to_dict` gives it.
        evaluations: candidates in the history; with fewer, the ranking was another one.
    """
    if not result.exists():
        return Verification()
    document = read_json(result, what="the result of a search")
    known = {
        "budget": bound["flops"],
        "latency_ms": bound.get("latency_ms"),
        "table": bound.get("table"),
        "evaluations": evaluations,
    }
    if any(document.get(key) != value for key, value in known.items()):
        return Verification()
    if document.get("verified") is None:
        return Verification()
    times = [row["measured_ms"] for row in document["rows"]]
    return Verification(
        measured_ms=tuple(time for time in times if time is not None),
        winner=document["winner"] - 1,
        holds=document["verified"],
    )


def verify(
    ranked: Sequence[Architecture],
    predicted_ms: Sequence[float],
    bound_ms: float,
    remeasure: Remeasure,
    *,
    later: str,
) -> Verification:
    """Goes down the ranking, five networks at once, until one holds the bound.

    Args:
        ranked: best first.
        predicted_ms: what the table says of each.
        bound_ms: the longest latency allowed.
        remeasure: measures networks.
        later: the command that measures the winner another time, for the user.
    """
    measured: list[float] = []
    for start in range(0, min(MOST, len(ranked)), BATCH):
        batch = ranked[start : min(start + BATCH, MOST)]
        try:
            times = remeasure(batch)
        except UserError as error:
            say(f"The winner's latency is not verified: {error} To do it later: {later}")
            return Verification(measured_ms=tuple(measured), winner=len(measured))
        measured += [time for _, time in zip(batch, times, strict=True)]
        for place in range(start, len(measured)):
            if measured[place] <= bound_ms:
                say(
                    f"Measured again on the device, rank {place + 1} takes "
                    f"{measured[place]:.4g} ms (table: {predicted_ms[place]:.4g} ms) and holds "
                    f"{bound_ms:g} ms{'; those before it do not' if place else ''}."
                )
                return Verification(measured_ms=tuple(measured), winner=place, holds=True)
    ratio = median(time / said for time, said in zip(measured, predicted_ms, strict=False))
    fastest = min(range(len(measured)), key=measured.__getitem__)
    say(
        f"None of the best {len(measured)} holds {bound_ms:g} ms when measured again: the fastest "
        f"takes {measured[fastest]:.4g} ms, and the table is off by {ratio:.3f} times. Build it "
        f"again, or search with --latency {bound_ms / ratio:.3g}ms."
    )
    return Verification(measured_ms=tuple(measured), winner=fastest, holds=False)
