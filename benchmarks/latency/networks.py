"""Whole networks: random ones, their files, and what they take on a table's device."""

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

__all__ = ["measure_networks", "random_networks", "write_networks"]

VISIT_OVERHEAD_MS = 15.0
"""What a visit takes besides its timed runs on a desktop; only for the estimate beforehand."""


def write_networks(
    folder: Path, architectures: Sequence[Architecture], precision: str
) -> dict[str, Timed]:
    """Whole networks as files: "network0", "network1", ..."""
    files = {}
    for index, architecture in enumerate(architectures):
        path = folder / f"network{index}.tflite"
        path.write_bytes(network_file(architecture, precision=precision, seed=index))
        files[path.stem] = Timed(path=path, visit_ms=NETWORK_MS, visits=NETWORK_VISITS)
    return files


def measure_networks(
    table: LatencyTable, architectures: Sequence[Architecture], *, journal: Path | None = None
) -> list[float]:
    """Latencies in ms of whole networks, as the table's own were measured, on its device.

    Args:
        table: says device, runtime, precision and threads.
        architectures: what is measured.
        journal: keeps the runs, so that a stopped measurement is resumed; removed at the end.

    Raises:
        UserError: the device cannot be reached or was lost, or has another runtime by now.
    """
    with open_device(table.device) as device, tempfile.TemporaryDirectory() as folder:
        require_runtime(table, device)
        settings = {
            "table": table.fingerprint,
            "networks": sha256_json([architecture.genes for architecture in architectures]),
        }
        kept = Journal(journal or Path(folder) / "runs", settings)
        visits = ROUNDS * NETWORK_VISITS * len(architectures)
        seconds = visits * (NETWORK_MS + VISIT_OVERHEAD_MS) / 1000
        say(
            f"{len(architectures)} whole networks, up to {ROUNDS} rounds on {device.name} "
            f"({table.runtime} {table.version}, {table.precision}): about {duration(seconds)} of "
            "measuring on a fast device."
        )
        files = write_networks(Path(folder), list(architectures), table.precision)
        times = measure(device, files, kept, runtime=table.runtime, threads=table.threads, seed=0)
        kept.path.unlink()
    return [times[f"network{index}"] for index in range(len(architectures))]


def random_networks(table: LatencyTable, count: int, *, seed: int) -> list[Architecture]:
    """Uniform samples of the table's tier, none of which it was fitted to."""
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
