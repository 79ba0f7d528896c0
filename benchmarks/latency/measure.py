"""Many models measured on one device in interleaved rounds, so that drift hits all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecmp.benchmarks.devices import Device, DeviceRunError
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.latency.time_of import time_of
from edgecmp.errors import UserError
from edgecmp.progress import progress

__all__ = ["NETWORK_MS", "PART_MS", "ROUNDS", "Timed", "measure"]

PART_MS, NETWORK_MS = 15.0, 100.0
"""Length of one visit to a part and to a whole network, after the warm-up."""

ROUNDS, LEAST_ROUNDS = 8, 2
SETTLED = 0.001
"""Mean relative change of the times by the last round, below which no further one is needed."""

FIRST_BATCH, BATCH_S = 32, 4.0
"""Visits of the first process on the device, and seconds that a process should at least take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """A file and the length of one visit to it."""

    path: Path
    visit_ms: float


def measure(
    device: Device,
    files: Mapping[str, Timed],
    journal: Journal,
    *,
    runtime: str,
    threads: int,
    seed: int,
) -> dict[str, float]:
    """Visits every file once a round, in another order each time, until the times have settled.

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
    batch = FIRST_BATCH
    with progress("Measuring", total=ROUNDS * len(files), unit="visit") as bar:
        for number in range(ROUNDS):
            names = sorted(files)
            random.Random(f"{seed} {number}").shuffle(names)
            missing = [name for name in names if (name, number) not in journal]
            bar.advance(len(names) - len(missing))
            while missing:
                some, missing = missing[:batch], missing[batch:]
                start = time.perf_counter()
                visits = device.time_models(
                    [files[name].path for name in some],
                    runtime=runtime,
                    threads=threads,
                    visit_ms=[files[name].visit_ms for name in some],
                    seed=seed,
                )
                try:
                    for visit in visits:
                        journal.add(some[visit.model], number, visit)
                        bar.advance(1)
                except DeviceRunError as error:
                    raise UserError(
                        f"{device.name} stopped measuring: {error}.",
                        f"What was measured is kept in {journal.path}: run the same command again "
                        "and it goes on.",
                    ) from error
                if time.perf_counter() - start < BATCH_S:
                    batch *= 2
            if _settled(journal, files, number, threads=threads):
                bar.advance((ROUNDS - 1 - number) * len(files))
                break
    return {name: time_of(journal.visits[name], threads=threads) for name in files}


def _settled(journal: Journal, names: Collection[str], last: int, *, threads: int) -> bool:
    """Whether the round numbered `last` has changed hardly anything."""
    if last + 1 < LEAST_ROUNDS:
        return False
    times = np.array(
        [
            [
                time_of({key: rounds[key] for key in range(count)}, threads=threads)
                for count in (last, last + 1)
            ]
            for rounds in (journal.visits[name] for name in names)
        ]
    )
    return bool(np.abs(times[:, 1] / times[:, 0] - 1).mean() < SETTLED)
