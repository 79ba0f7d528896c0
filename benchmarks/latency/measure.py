"""Many models measured on one device in interleaved rounds, so that drift hits all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.benchmarks.devices import Device, DeviceRunError
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.latency.time_of import time_of
from edgecmp.errors import UserError
from edgecmp.progress import Bar, progress

__all__ = ["NETWORK_MS", "NETWORK_VISITS", "ROUNDS", "SEGMENT_MS", "Timed", "measure"]

SEGMENT_MS, NETWORK_MS = 15.0, 30.0
"""Length of one visit to a segment and to a whole network, after the warm-up."""

NETWORK_VISITS = 3
"""Visits to a whole network in each round. Where a model happens to lie in memory changes its time
by some percent from load to load, so many short visits tell more than a few long ones."""

ROUNDS, LEAST_ROUNDS = 10, 2
SETTLED = 0.001
"""Mean relative change of the times by the last round, below which no further one is needed."""

FIRST_BATCH, BATCH_S = 32, 4.0
"""Visits of the first process on the device, and seconds that a process should at least take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """A file, the length of one visit to it, and its visits in each round."""

    path: Path
    visit_ms: float
    visits: int = 1


def measure(
    device: Device,
    files: Mapping[str, Timed],
    journal: Journal,
    *,
    runtime: str,
    threads: int,
    seed: int,
) -> dict[str, float]:
    """Visits all files in rounds, in another order each time, until the times have settled.

    Args:
        device: where.
        files: what is timed, by name.
        journal: what it holds already is not measured again; it gets the rest.
        runtime: of the device.
        threads: of the runtime.
        seed: of the orders.

    Returns:
        Milliseconds of each file, by name.

    Raises:
        UserError: the device was lost, or its runtime refuses a file; the journal keeps what came.
    """
    options: dict[str, Any] = {"runtime": runtime, "threads": threads, "seed": seed}
    batch = FIRST_BATCH
    each = sum(file.visits for file in files.values())
    with progress("Measuring", total=ROUNDS * each, unit="visit") as bar:
        for number in range(ROUNDS):
            visits_of = [
                (name, number * files[name].visits + again)
                for name in sorted(files)
                for again in range(files[name].visits)
            ]
            random.Random(f"{seed} {number}").shuffle(visits_of)
            missing = [visit for visit in visits_of if visit not in journal]
            bar.advance(each - len(missing))
            while missing:
                some, missing = missing[:batch], missing[batch:]
                start = time.perf_counter()
                _visit(device, files, some, journal, bar, **options)
                if time.perf_counter() - start < BATCH_S:
                    batch *= 2
            if _settled(journal, files, number, threads=threads):
                bar.advance((ROUNDS - 1 - number) * each)
                break
    return {name: time_of(journal.visits[name], threads=threads) for name in files}


def _visit(
    device: Device,
    files: Mapping[str, Timed],
    keys: Sequence[tuple[str, int]],
    journal: Journal,
    bar: Bar,
    **options: Any,
) -> None:
    """Makes some visits in one process of the device; the journal gets each as it comes."""
    visits = device.time_models(
        [files[name].path for name, _ in keys],
        visit_ms=[files[name].visit_ms for name, _ in keys],
        **options,
    )
    try:
        for visit in visits:
            journal.add(*keys[visit.model], visit)
            bar.advance(1)
    except DeviceRunError as error:
        raise UserError(
            f"{device.name} stopped measuring: {error}.",
            f"What was measured is kept in {journal.path}: run the same command again "
            "and it goes on.",
        ) from error


def _settled(journal: Journal, files: Mapping[str, Timed], last: int, *, threads: int) -> bool:
    """Whether the round numbered `last` has changed hardly anything."""
    if last + 1 < LEAST_ROUNDS:
        return False
    times = np.array(
        [
            [
                time_of(
                    {key: journal.visits[name][key] for key in range(count * file.visits)},
                    threads=threads,
                )
                for count in (last, last + 1)
            ]
            for name, file in files.items()
        ]
    )
    return bool(np.abs(times[:, 1] / times[:, 0] - 1).mean() < SETTLED)
