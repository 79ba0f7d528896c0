"""Many models measured on one device in interleaved rounds, so that drift hits all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path

from edgecmp.benchmarks.devices import Device, DeviceRunError
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.errors import UserError
from edgecmp.progress import progress

__all__ = ["VISIT_MS", "measure"]

VISIT_MS = 15.0
"""Length of one visit after its warm-up."""

FIRST_BATCH, BATCH_S = 32, 4.0
"""Visits of the first process on the device, and seconds that a process should at least take."""


def measure(
    device: Device,
    files: Mapping[str, Path],
    journal: Journal,
    *,
    runtime: str,
    threads: int,
    rounds: int,
    visit_ms: float = VISIT_MS,
    seed: int,
    title: str,
) -> None:
    """Visits every file once in each round, in another order each time; fills the journal.

    Args:
        device: where.
        files: what is timed, by name.
        journal: what it holds already is not measured again.
        runtime: of the device.
        threads: of the runtime.
        rounds: visits to each file.
        visit_ms: length of each.
        seed: of the orders.
        title: of the progress bar.

    Raises:
        UserError: the device was lost, or its runtime refuses a file; the journal keeps what came.
    """
    batch = FIRST_BATCH
    with progress(title, total=rounds * len(files), unit="visit") as bar:
        bar.advance(sum((name, number) in journal for name in files for number in range(rounds)))
        for number in range(rounds):
            names = sorted(files)
            random.Random(f"{seed} {number}").shuffle(names)
            names = [name for name in names if (name, number) not in journal]
            while names:
                some, names = names[:batch], names[batch:]
                start = time.perf_counter()
                visits = device.time_models(
                    [files[name] for name in some],
                    runtime=runtime,
                    threads=threads,
                    visit_ms=visit_ms,
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
