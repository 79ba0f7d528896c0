"""`edgecmp latency check`: predicted against measured latencies of whole networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.latency.networks import measure_networks, random_networks
from edgecmp.errors import UserError
from edgecmp.export.fingerprint import lowering_fingerprint
from edgecmp.files import provenance
from edgecmp.metrics.rank import kendall_tau
from edgecmp.networks.architecture import Architecture
from edgecmp.progress import say
from edgecmp.report import Report

__all__ = ["LatencyCheck", "check", "errors"]

DRIFT = 0.03
"""Relative change of the device's speed since the table was built that is reported."""

COLUMNS = ("latency", "nets", "mape", "max_error", "within_5", "within_10", "tau", "slowdown")


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class LatencyCheck(Report):
    """Predicted and measured latencies of whole networks.

    Attributes:
        rows: two rows of figures: nets, mape, max_error, within_5, within_10 (percent), tau
            (Kendall's, of the two orders; None for fewer than three networks). The first row is for
            the predictions of the table, and has slowdown: the latency of the calibration networks
            relative to their latency when the table was built. The second row is for the
            predictions multiplied by the slowdown, which removes the change of the device's speed.
        nets: for each network "architecture", "measured_ms", "predicted_ms", "error" (percent).
        table: the file of the table.
        device: name of the device.
        names: names of the networks, if they were given.
        picture: predicted against measured latencies, if the networks were random and it could be
            written.
        provenance: the versions and the command that made the report.
    """

    rows: list[dict[str, Any]]
    nets: list[dict[str, Any]]
    table: Path
    device: str
    names: tuple[str, ...] = ()
    picture: Path | None = None
    provenance: dict[str, str] = field(default_factory=provenance)

    def heading(self) -> str:
        """The measured and predicted latency of each named network."""
        return "\n".join(
            f"{name}: {net['measured_ms']:.3f} ms measured, {net['predicted_ms']:.3f} ms predicted "
            f"({net['error']:+.1f} %)"
            for name, net in zip(self.names, self.nets, strict=False)
        )

    def shown_columns(self) -> tuple[str, ...]:
        """The columns that fit on a screen."""
        return COLUMNS

    def written(self) -> dict[str, Path]:
        """The picture, and the table that stores the figures of random networks."""
        picture = {} if self.picture is None else {"the picture": self.picture}
        return picture if self.names else picture | {"these figures into the table": self.table}

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
    architectures: Mapping[str, Architecture] | None = None,
    seed: int | None = None,
) -> LatencyCheck:
    """Measures whole networks on the table's device and compares them with its predictions.

    An interrupted check resumes when it is run again. The figures of random networks are written
    into the table.

    Args:
        table: the file that `build` wrote.
        nets: number of random networks.
        architectures: networks to measure instead of random ones, by the names for the report.
        seed: of the random networks; `nets` if None.

    Raises:
        UserError: as `build`; or the runtime or the lowering has changed since the table was built.
    """
    path = Path(table)
    known = LatencyTable.load(path)
    known.require_lowering(lowering_fingerprint())
    named = dict(architectures or {})
    if not named and nets < 1:
        raise UserError(f"--nets must be at least 1 (got {nets}).", "Use --nets 50.")
    chosen = list(named.values()) or random_networks(
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
            f"The speed of {known.device} has changed since the table was built: the calibration "
            f"networks take {slowdown:.2f} times as long. Other programs or heat may be the cause."
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
    if not named:
        replace(
            known,
            check={
                **figures,
                "at_todays_speed": corrected,
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        ).save(path)
    journal.unlink(missing_ok=True)
    rows = [{"latency": "by the table", **figures}, {"latency": "at today's speed", **corrected}]
    return LatencyCheck(
        rows=rows, nets=networks, table=path, device=known.device, names=tuple(named)
    )


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
