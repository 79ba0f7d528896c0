"""Whole networks: random samples, their files, and their latencies on a table's device."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.devices import open_device
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.latency.measure import (
    NETWORK_MS,
    NETWORK_VISITS,
    ROUNDS,
    Timed,
    measure,
)
from edgecmp.benchmarks.latency.runtime import require_runtime
from edgecmp.export.latency_segments import network_file
from edgecmp.files import sha256_json
from edgecmp.networks.architecture import Architecture
from edgecmp.progress import duration, say
from edgecmp.wording import counted

__all__ = ["measure_networks", "random_networks", "write_networks"]

VISIT_OVERHEAD_MS = 15.0
"""Time of a visit besides its timed runs on a desktop; used only to estimate the duration."""


def write_networks(
    folder: Path, architectures: Sequence[Architecture], precision: str
) -> dict[str, Timed]:
    """Writes whole networks as files named "network0", "network1", ..."""
    files = {}
    for index, architecture in enumerate(architectures):
        path = folder / f"network{index}.tflite"
        path.write_bytes(network_file(architecture, precision=precision, seed=index))
        files[path.stem] = Timed(path=path, visit_ms=NETWORK_MS, visits=NETWORK_VISITS)
    return files


def measure_networks(
    table: LatencyTable, architectures: Sequence[Architecture], *, journal: Path | None = None
) -> list[float]:
    """Latencies in ms of whole networks, measured like those of the table and on its device.

    Args:
        table: states the device, the runtime, the precision and the thread count.
        architectures: the networks to measure.
        journal: file that keeps the runs, so that an interrupted measurement can be resumed; the
            caller removes it once the result is written.

    Raises:
        UserError: the device cannot be reached, was lost, or has another version of the runtime.
    """
    with open_device(table.device) as device, tempfile.TemporaryDirectory() as folder:
        require_runtime(table, device)
        settings = {
            "table": table.fingerprint,
            "networks": sha256_json([architecture.genes for architecture in architectures]),
        }
        with Journal.opened(journal or Path(folder) / "runs", settings) as kept:
            visits = ROUNDS * NETWORK_VISITS * len(architectures)
            seconds = visits * (NETWORK_MS + VISIT_OVERHEAD_MS) / 1000
            networks = counted(len(architectures), "whole network")
            say(
                f"Measuring {networks} in up to {ROUNDS} rounds on {device.name} "
                f"({table.runtime} {table.version}, {table.precision}): about "
                f"{duration(seconds)} on a fast device."
            )
            files = write_networks(Path(folder), list(architectures), table.precision)
            runtime, threads = table.runtime, table.threads
            times = measure(device, files, kept, runtime=runtime, threads=threads, seed=0)
    return [times[f"network{index}"] for index in range(len(architectures))]


def random_networks(table: LatencyTable, count: int, *, seed: int) -> list[Architecture]:
    """Uniform samples of the table's tier, without the calibration networks."""
    fitted = {tuple(entry["architecture"]["blocks"]) for entry in table.calibration}
    generator = random.Random(f"check {seed}")
    drawn: list[Architecture] = []
    while len(drawn) < count:
        architecture = Architecture.random(
            table.tier,
            seed=generator.getrandbits(32),
            embedding_dim=table.embedding_dim,
            input_size=table.input_size,
        )
        if architecture.blocks not in fitted:
            drawn.append(architecture)
    return drawn
