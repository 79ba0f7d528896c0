"""Many models measured on one device in interleaved rounds, so that drift affects all alike."""

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
"""Length in ms of one visit of a segment and of a whole network, after the warm-up."""

NETWORK_VISITS = 3
"""Visits of a whole network per round. The time of a model changes by some percent each time it is
loaded, with its place in memory, so many short visits are more accurate than a few long ones."""

ROUNDS, LEAST_ROUNDS = 10, 2
SETTLED = 0.001
"""If a round changes the times by less than this (mean relative change), it is the last one."""

FIRST_BATCH, BATCH_S = 32, 4.0
"""Visits of the first process on the device, and the least time in s that a process should take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """A file, the length of one visit in ms, and the number of visits per round."""

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
    """Visits all files in rounds, each in a different order, until the times have settled.

    Args:
        device: where the files are measured.
        files: the files, by name.
        journal: its visits are not measured again; new visits are added to it.
        runtime: name of a runtime of the device.
        threads: number of threads of the runtime.
        seed: of the order of visits.

    Returns:
        Latency in ms of each file, by name.

    Raises:
        UserError: the device was lost, or its runtime refuses a file; the journal keeps the visits
            so far.
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
    """Runs some visits in one process on the device and adds each to the journal."""
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
            f"Run the same command again to resume; {journal.path} contains the visits so far.",
        ) from error


def _settled(journal: Journal, files: Mapping[str, Timed], last: int, *, threads: int) -> bool:
    """Whether round number `last` has changed the times by less than `SETTLED`."""
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
