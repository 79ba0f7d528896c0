"""`edgecmp latency build`: measures the latency of each choice of each layer on a device."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.artefacts.latency_table import ENTRIES, LatencyTable
from edgecmp.benchmarks.devices import Device, open_device
from edgecmp.benchmarks.devices.benchmark_binary import NAME
from edgecmp.benchmarks.latency.fit import calibration_networks, fit
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.latency.measure import (
    NETWORK_MS,
    NETWORK_VISITS,
    ROUNDS,
    SEGMENT_MS,
    Timed,
    measure,
)
from edgecmp.benchmarks.latency.networks import write_networks
from edgecmp.benchmarks.latency.runtime import choose_runtime
from edgecmp.benchmarks.latency.time_of import STATISTIC, SUMMARY_STATISTIC
from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.fingerprint import lowering_fingerprint
from edgecmp.export.latency_segments import (
    HEAD,
    OVERHEAD,
    STEM,
    entry_name,
    latency_segments,
)
from edgecmp.files import provenance
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.sizes import LARGEST_EMBEDDING, LARGEST_INPUT, SMALLEST_INPUT
from edgecmp.progress import duration, progress, say
from edgecmp.report import Report
from edgecmp.storage import check_writable
from edgecmp.wording import counted

__all__ = ["PRECISIONS", "BuiltTable", "build"]

COLUMNS = ("device", "tier", "input_size", "precision", "runtime", "version", "threads")

PRECISIONS = ("fp32", "int8")
VISIT_OVERHEAD_MS = 5.0
"""Time of a visit besides its timed runs on a desktop; used only to estimate the duration."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class BuiltTable(Report):
    """A new latency table and its files.

    Attributes:
        table: the table.
        path: its file.
        picture: the file of the picture, which shows the latency of each choice; None if it could
            not be written.
    """

    table: LatencyTable
    path: Path
    picture: Path | None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row that summarises the table."""
        document = self.table.to_dict()
        entries = [entry["ms"] for entry in document["entries_ms"]]
        return [
            {
                **{key: document[key] for key in COLUMNS},
                "fastest_layer_ms": min(entries),
                "slowest_layer_ms": max(entries),
                "scale": document["scale"],
                "bias_ms": document["bias_ms"],
            }
        ]

    def to_dict(self) -> dict[str, Any]:
        """The table's own document."""
        return self.table.to_dict()

    def written(self) -> dict[str, Path]:
        """The table and its picture."""
        picture = {} if self.picture is None else {"the picture": self.picture}
        return {"the table": self.path, **picture}


def build(
    out: str | Path,
    *,
    device: str = "local",
    tier: str,
    input_size: int,
    embedding_dim: int,
    precision: str = "fp32",
    runtime: str | None = None,
    threads: int = 1,
    seed: int = 0,
) -> LatencyTable:
    """Measures a table on a device and writes it.

    An interrupted measurement resumes when it is run again.

    Args:
        out: the .json file; the measured runs are kept beside it until the table is written.
        device: name of the device; see `edgecmp.benchmarks.devices`.
        tier: "330M", "230M" or "100M".
        input_size: side of the image, in pixels.
        embedding_dim: D of the embedding.
        precision: "fp32" or "int8".
        runtime: "litert", "tflite-runtime" or "benchmark_model"; if None, the first of these that
            the device has.
        threads: number of threads of the runtime.
        seed: of the weights and of the order of visits.

    Raises:
        UserError: the device cannot be reached, was lost, lacks the runtime or refuses a file;
            `out` cannot be written; or the runs beside it belong to a measurement with other
            settings, were damaged, or are being written by another process.
    """
    out = Path(out)
    if not SMALLEST_INPUT <= input_size <= LARGEST_INPUT:
        raise UserError(
            f"--input-size must be from {SMALLEST_INPUT} to {LARGEST_INPUT} pixels (got "
            f"{input_size}).",
            "Use --input-size 64; the networks reduce the image by a factor of 32.",
        )
    if not 1 <= embedding_dim <= LARGEST_EMBEDDING:
        raise UserError(
            f"--embedding-dim must be from 1 to {LARGEST_EMBEDDING} (got {embedding_dim}).",
            "Use the number of values in an embedding of your gallery model.",
        )
    if precision not in PRECISIONS:
        raise unknown_choice("precision of a latency table", precision, PRECISIONS)
    if threads < 1:
        raise UserError(f"--threads must be at least 1 (got {threads}).", "Use --threads 1.")
    check_writable(out)
    with open_device(device) as machine, tempfile.TemporaryDirectory() as folder:
        runtime, version = choose_runtime(machine, runtime)
        networks = calibration_networks(
            tier, embedding_dim=embedding_dim, input_size=input_size, seed=seed
        )
        settings = {
            "device": device,  # with its options, so that `check` opens the same device
            "tier": tier,
            "input_size": input_size,
            "embedding_dim": embedding_dim,
            "precision": precision,
            "runtime": runtime,
            "version": version,
            "threads": threads,
            "seed": seed,
            "lowering": lowering_fingerprint(),
        }
        with Journal.opened(out.with_name(f"{out.name}.runs"), settings) as journal:
            _announce(settings, networks, machine.name)
            if len(journal):
                say(f"Resuming: {journal.path} already contains {counted(len(journal), 'visit')}.")
            files = _write_segments(Path(folder), tier, input_size, embedding_dim, precision)
            files |= write_networks(Path(folder), networks, precision)
            times = measure(machine, files, journal, runtime=runtime, threads=threads, seed=seed)
            table = _table(times, settings, networks, machine)
            table.save(out)
            journal.remove()
    return table


def _announce(settings: Mapping[str, Any], networks: Sequence[Architecture], device: str) -> None:
    """Says what is measured, and about how long that takes."""
    count = len(ENTRIES) + 3
    seconds = ROUNDS * (
        count * (SEGMENT_MS + VISIT_OVERHEAD_MS)
        + len(networks) * NETWORK_VISITS * (NETWORK_MS + VISIT_OVERHEAD_MS)
    )
    say(
        f"Measuring {count} segments of the {settings['tier']} tier at {settings['input_size']} "
        f"pixels and {len(networks)} whole networks in up to {ROUNDS} rounds on {device} "
        f"({settings['runtime']} {settings['version']}, {settings['precision']}, "
        f"{counted(settings['threads'], 'thread')}): about {duration(seconds / 1000)} on a fast "
        "device."
    )


def _write_segments(
    folder: Path, tier: str, input_size: int, embedding_dim: int, precision: str
) -> dict[str, Timed]:
    files = {}
    written = latency_segments(
        tier, input_size=input_size, embedding_dim=embedding_dim, precision=precision
    )
    with progress("Lowering", total=len(ENTRIES) + 3, unit="segment") as bar:
        for name, data in written:
            path = folder / f"{name}.tflite"
            path.write_bytes(data)
            files[name] = Timed(path=path, visit_ms=SEGMENT_MS)
            bar.advance(1)
    return files


def _table(
    times: Mapping[str, float],
    settings: Mapping[str, Any],
    networks: list[Architecture],
    device: Device,
) -> LatencyTable:
    """The table of these latencies, fitted to the networks."""
    fields = {key: value for key, value in settings.items() if key != "seed"}

    def fitted(scale: float, bias_ms: float, calibration: list[dict[str, Any]]) -> LatencyTable:
        return LatencyTable(
            **fields,
            facts=device.facts,
            target="tflite",
            delegate="XNNPACK",
            statistic=SUMMARY_STATISTIC if settings["runtime"] == NAME else STATISTIC,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            entries_ms=np.array([times[entry_name(*entry)] for entry in ENTRIES]),
            stem_ms=times[STEM],
            head_ms=times[HEAD],
            overhead_ms=times[OVERHEAD],
            scale=scale,
            bias_ms=bias_ms,
            calibration=calibration,
            check=None,
            provenance=provenance(),
        )

    sums = [fitted(1.0, 0.0, []).predict(network) for network in networks]
    measured = [times[f"network{index}"] for index in range(len(networks))]
    scale, bias_ms = fit(sums, measured)
    calibration = [
        {
            "architecture": network.to_dict(),
            "measured_ms": time_ms,
            "predicted_ms": scale * sum_ms + bias_ms,
        }
        for network, sum_ms, time_ms in zip(networks, sums, measured, strict=True)
    ]
    return fitted(scale, bias_ms, calibration)
