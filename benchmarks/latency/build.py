"""`edgecmp latency build`: what each choice of each layer costs on a device, measured there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.artefacts.latency_table import ENTRIES, LatencyTable
from edgecmp.benchmarks.devices import Device, open_device
from edgecmp.benchmarks.devices.benchmark_model import NAME
from edgecmp.benchmarks.latency.fit import calibration_networks, fit
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.latency.measure import (
    NETWORK_MS,
    NETWORK_VISITS,
    PART_MS,
    ROUNDS,
    Timed,
    measure,
)
from edgecmp.benchmarks.latency.time_of import STATISTIC, SUMMARY_STATISTIC
from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.latency_parts import (
    HEAD,
    OVERHEAD,
    STEM,
    entry_name,
    lowering_fingerprint,
    network_file,
    parts,
)
from edgecmp.files import provenance
from edgecmp.networks.architecture import Architecture
from edgecmp.progress import duration, progress, say

__all__ = ["PRECISIONS", "build", "choose_runtime", "write_networks"]

PRECISIONS = ("fp32", "int8")
RUNTIMES = ("litert", "tflite-runtime", NAME)
VISIT_OVERHEAD_MS = 5.0
"""What a visit takes besides its timed runs on a desktop; only for the estimate beforehand."""


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
    """Measures a table on a device and writes it; stopped and run again, it goes on.

    Args:
        out: the .json file; the runs so far are kept beside it until the table is written.
        device: where; see `edgecmp.benchmarks.devices`.
        tier: "330M", "230M" or "100M".
        input_size: side of the image, in pixels.
        embedding_dim: D of the embedding.
        precision: "fp32" or "int8".
        runtime: "litert", "tflite-runtime" or "benchmark_model"; the first of them that the device
            has if None.
        threads: of the runtime.
        seed: of weights and of the order of visits.

    Raises:
        UserError: the device cannot be reached, was lost, lacks the runtime or refuses a file, or
            the runs beside `out` belong to another measurement.
    """
    out = Path(out)
    if precision not in PRECISIONS:
        raise unknown_choice("precision of a latency table", precision, PRECISIONS)
    if threads < 1:
        raise UserError(f"{threads} threads cannot run anything.", "Use --threads 1 or more.")
    with open_device(device) as machine, tempfile.TemporaryDirectory() as folder:
        runtime, version = choose_runtime(machine, runtime)
        networks = calibration_networks(
            tier, embedding_dim=embedding_dim, input_size=input_size, seed=seed
        )
        settings = {
            "device": device,  # with its options, so that `check` opens the same
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
        journal = Journal(out.with_name(f"{out.name}.runs"), settings)
        count = len(ENTRIES) + 3
        seconds = ROUNDS * (
            count * (PART_MS + VISIT_OVERHEAD_MS)
            + len(networks) * NETWORK_VISITS * (NETWORK_MS + VISIT_OVERHEAD_MS)
        )
        say(
            f"{count} parts of the {tier} tier at {input_size} pixels and {len(networks)} whole "
            f"networks, up to {ROUNDS} rounds on {machine.name} ({runtime} {version}, {precision}, "
            f"{threads} thread{'s' * (threads > 1)}): about {duration(seconds / 1000)} of "
            "measuring on a fast device."
        )
        if len(journal):
            say(f"{len(journal)} visits are in {journal.path} already; going on with the rest.")
        files = _write_parts(Path(folder), tier, input_size, embedding_dim, precision)
        files |= write_networks(Path(folder), networks, precision)
        times = measure(machine, files, journal, runtime=runtime, threads=threads, seed=seed)
        table = _table(times, settings, networks, machine)
    table.save(out)
    journal.path.unlink()
    return table


def choose_runtime(device: Device, wanted: str | None) -> tuple[str, str]:
    """The TFLite runtime to use on a device, and its version.

    Raises:
        UserError: the device has none, or not the wanted one.
    """
    found = device.facts["runtimes"]
    if wanted is not None and wanted not in RUNTIMES:
        raise unknown_choice("TFLite runtime", wanted, RUNTIMES)
    names = [wanted] if wanted else RUNTIMES
    for name in names:
        if "version" in found.get(name, {}):
            return name, found[name]["version"]
    reasons = "; ".join(
        f"{name}: {found.get(name, {}).get('reason', 'no such')}"
        for name in names
        if name in (*found, wanted)
    )
    raise UserError(
        f"{device.name} has no TFLite runtime ({reasons}).",
        "Install one for its Python: pip install ai-edge-litert, or pip install tflite-runtime "
        "'numpy<2'; a phone without Python is timed by ?benchmark_model=PATH (docs/android.md).",
    )


def write_networks(
    folder: Path, architectures: Sequence[Architecture], precision: str, *, name: str = "network"
) -> dict[str, Timed]:
    """Whole networks as files: "network0", "network1", ..."""
    files = {}
    for index, architecture in enumerate(architectures):
        path = folder / f"{name}{index}.tflite"
        path.write_bytes(network_file(architecture, precision=precision, seed=index))
        files[path.stem] = Timed(path=path, visit_ms=NETWORK_MS, visits=NETWORK_VISITS)
    return files


def _write_parts(
    folder: Path, tier: str, input_size: int, embedding_dim: int, precision: str
) -> dict[str, Timed]:
    files = {}
    written = parts(tier, input_size=input_size, embedding_dim=embedding_dim, precision=precision)
    with progress("Lowering", total=len(ENTRIES) + 3, unit="part") as bar:
        for name, data in written:
            path = folder / f"{name}.tflite"
            path.write_bytes(data)
            files[name] = Timed(path=path, visit_ms=PART_MS)
            bar.advance(1)
    return files


def _table(
    times: Mapping[str, float],
    settings: Mapping[str, Any],
    networks: list[Architecture],
    device: Device,
) -> LatencyTable:
    """The table of these times, fitted to the networks."""
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
