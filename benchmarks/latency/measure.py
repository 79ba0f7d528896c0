"""Many models measured on one device in interleaved rounds, so that drift hits all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecmp.benchmarks.devices import Device, DeviceRunError
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.errors import UserError
from edgecmp.progress import progress

__all__ = ["NETWORK_MS", "PART_MS", "Timed", "measure"]

PART_MS, NETWORK_MS = 15.0, 100.0
"""Length of one visit to a part and to a whole network, after the warm-up."""

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
    rounds: int,
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
