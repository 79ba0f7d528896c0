"""`edgecmp latency check`: what a table says of whole networks against what they take."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.devices import Device, open_device
from edgecmp.benchmarks.latency.build import choose_runtime, write_networks
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.latency.measure import NETWORK_MS, NETWORK_VISITS, ROUNDS, measure
from edgecmp.errors import UserError
from edgecmp.export.latency_parts import lowering_fingerprint
from edgecmp.files import provenance, sha256_json
from edgecmp.metrics.rank import kendall_tau
from edgecmp.networks.architecture import Architecture
from edgecmp.progress import duration, say

__all__ = ["LatencyCheck", "check", "errors", "measure_networks", "random_networks"]

VISIT_OVERHEAD_MS = 15.0
DRIFT = 0.03
"""Change of the device's own speed since the table was built that is worth a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyCheck:
    """Predicted and measured latencies of whole networks.

    Attributes:
        rows: the figures, twice: nets, mape, max_error, within_5, within_10 (percent), tau
            (Kendall's, of the two orders; None for fewer than three networks). The first row is of
            what the table says, and has slowdown: how many times as long as when the table was
            built the networks take that it was fitted to. The second is of what the table says
            times the slowdown: the errors that are left when the device's own speed is the same.
        nets: for each network "architecture", "measured_ms", "predicted_ms", "error" (percent).
        table: the file that was checked.
        device: its name.
    """

    rows: list[dict[str, Any]]
    nets: list[dict[str, Any]]
    table: Path
    device: str
    provenance: dict[str, str] = field(default_factory=provenance)

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        plain, corrected = self.rows
        return {
            **plain,
            "at_todays_speed": corrected,
            "nets": self.nets,
            "table": str(self.table),
            "device": self.device,
            "provenance": self.provenance,
        }


def check(
    table: str | Path,
    *,
    nets: int = 50,
    architectures: Sequence[Architecture] = (),
    seed: int | None = None,
) -> LatencyCheck:
    """Measures whole networks on the table's device and compares; stopped, it goes on.

    The figures of random networks are written into the table.

    Args:
        table: the file that `build` wrote.
        nets: how many random networks.
        architectures: these instead of random ones.
        seed: of the random networks; another one for each number of networks if None.

    Raises:
        UserError: as `build`; or the table is of another runtime or lowering than what is there.
    """
    path = Path(table)
    known = LatencyTable.load(path)
    known.require_lowering(lowering_fingerprint())
    if not architectures and nets < 1:
        raise UserError(f"{nets} networks show nothing.", "Use --nets 50.")
    chosen = list(architectures) or random_networks(
        known, nets, seed=nets if seed is None else seed
    )
    predicted = [known.predict(architecture) for architecture in chosen]
    fitted = [Architecture.from_dict(entry["architecture"]) for entry in known.calibration]
    journal = path.with_name(f"{path.name}.check.runs")
    times = measure_networks(known, [*fitted, *chosen], journal=journal)
    again, measured = times[: len(fitted)], times[len(fitted) :]
    before = [entry["measured_ms"] for entry in known.calibration]
    slowdown = float(np.median(np.divide(again, before)))
    if abs(slowdown - 1) > DRIFT:
        say(
            f"{known.device} takes {slowdown:.2f} times as long as when the table was built, for "
            "the very networks that it was fitted to: something else runs, or it is hot."
        )
    figures = {**errors(predicted, measured), "slowdown": slowdown}
    corrected = errors([slowdown * said for said in predicted], measured)
    networks = [
        {
            "architecture": architecture.to_dict(),
            "measured_ms": ms,
            "predicted_ms": said,
            "error": 100 * (said / ms - 1),
        }
        for architecture, said, ms in zip(chosen, predicted, measured, strict=True)
    ]
    if not architectures:
        replace(
            known,
            check={
                **figures,
                "at_todays_speed": corrected,
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        ).save(path)
    rows = [{"latency": "by the table", **figures}, {"latency": "at today's speed", **corrected}]
    return LatencyCheck(rows=rows, nets=networks, table=path, device=known.device)


def measure_networks(
    table: LatencyTable, architectures: Sequence[Architecture], *, journal: Path | None = None
) -> list[float]:
    """Latencies in ms of whole networks, as the table's own were measured, on its device.

    Args:
        table: says device, runtime, precision and threads.
        architectures: what is measured.
        journal: keeps the runs, so that a stopped measurement goes on; removed at the end.

    Raises:
        UserError: the device cannot be reached or was lost, or has another runtime by now.
    """
    with open_device(table.device) as device, tempfile.TemporaryDirectory() as folder:
        _require_runtime(table, device)
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


def errors(predicted: Sequence[float], measured: Sequence[float]) -> dict[str, Any]:
    """The figures of a check: nets, mape, max_error, within_5, within_10 (percent), tau."""
    said, took = np.asarray(predicted), np.asarray(measured)
    relative = 100 * np.abs(said / took - 1)
    return {
        "nets": len(took),
        "mape": float(relative.mean()),
        "max_error": float(relative.max()),
        "within_5": float(100 * (relative <= 5).mean()),
        "within_10": float(100 * (relative <= 10).mean()),
        "tau": kendall_tau(predicted, measured) if len(took) > 2 else None,
    }


def _require_runtime(table: LatencyTable, device: Device) -> None:
    name, version = choose_runtime(device, table.runtime)
    if version != table.version:
        raise UserError(
            f"The table was measured in {name} {table.version}, and {device.name} has {version} "
            "now, so its times do not hold.",
            f"Build it again: edgecmp latency build --device {table.device}.",
        )
