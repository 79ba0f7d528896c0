"""The devices on which models can be timed: this machine, those of adb, and devices by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgecmp.benchmarks.devices.adb_client import Attached, attached_devices, require_ready
from edgecmp.benchmarks.devices.errors import DeviceRunError
from edgecmp.benchmarks.devices.open import open_device
from edgecmp.errors import UserError
from edgecmp.files import provenance
from edgecmp.progress import say
from edgecmp.report import Report

__all__ = ["DeviceList", "list_devices"]

FACTS = ("model", "soc", "cpu", "cores", "abi", "system", "governor")


COLUMNS = (
    *("device", "model", "soc", "cpu", "cores", "abi", "system"),
    *("runtimes", "governor", "temperature_c", "verdict"),
)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DeviceList(Report):
    """The devices, whether they were reached or not.

    Attributes:
        rows: one dictionary per device: device (its name for --device), model, soc, cpu, cores,
            abi, system, runtimes (those that it has, with versions), governor, temperature_c (of
            the hottest zone), verdict ("ready" or "not reached"), reason, named (whether the user
            named it) and facts (everything that it reports). Unknown values are None.
        notes: sentences about devices that could not be searched for.
        provenance: the versions and the command that made the report.
    """

    rows: list[dict[str, Any]]
    notes: list[str]
    provenance: dict[str, str] = field(default_factory=provenance)

    def shown_columns(self) -> tuple[str, ...]:
        """The columns that fit on a screen."""
        return COLUMNS

    def sentences(self) -> list[str]:
        """Why devices were not reached or not searched for."""
        reasons = [
            row["reason"]
            if row["reason"].startswith(row["device"])
            else f"{row['device']}: {row['reason']}"
            for row in self.rows
            if row["reason"]
        ]
        return [*reasons, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {"rows": self.rows, "notes": self.notes, "provenance": self.provenance}


def list_devices(names: Sequence[str] = ()) -> DeviceList:
    """Queries the facts of every device.

    Args:
        names: devices to list besides this machine and those that are attached to adb.
    """
    rows: list[dict[str, Any]] = [] if "local" in names else [_row("local", named=False)]
    notes: list[str] = []
    try:
        attached = attached_devices()
    except UserError as error:
        notes.append(f"Android devices were not searched for: {error}")
    else:
        rows += _attached_rows(attached, names)
    rows += [_row(name, named=True) for name in dict.fromkeys(names)]
    return DeviceList(rows=rows, notes=notes)


def _attached_rows(attached: Sequence[Attached], names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the devices of adb that are not among the names."""
    named = {name.partition("?")[0] for name in names}
    rows = []
    for device in attached:
        name = f"adb:{device.serial}"
        if name in named or ("adb" in named and len(attached) == 1):
            continue
        try:
            require_ready(device)
        except UserError as error:
            rows.append(_unreached(name, str(error), named=False))
        else:
            rows.append(_row(name, named=False))
    return rows


def _row(name: str, *, named: bool) -> dict[str, Any]:
    """The row of one device; the query takes seconds if Python has to start there."""
    say(f"Querying {name}")
    try:
        with open_device(name) as device:
            facts = device.facts
    except UserError as error:
        return _unreached(name, str(error), named=named)
    except DeviceRunError as error:
        return _unreached(name, f"It answers, but its facts cannot be read: {error}.", named=named)
    return {
        "device": name,
        **_shown(facts),
        "verdict": "ready",
        "reason": "",
        "named": named,
        "facts": dict(facts),
    }


def _unreached(name: str, reason: str, *, named: bool) -> dict[str, Any]:
    nothing = dict.fromkeys((*FACTS, "runtimes", "temperature_c"))
    return {
        "device": name,
        **nothing,
        "verdict": "not reached",
        "reason": reason,
        "named": named,
        "facts": {},
    }


def _shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts for the table, in short form."""
    runtimes = [
        f"{name} {found['version']}"
        for name, found in facts["runtimes"].items()
        if "version" in found
    ]
    row = {key: facts.get(key) for key in FACTS}
    row["abi"] = row["abi"] or facts["machine"]
    row["runtimes"] = ", ".join(runtimes) or "none"
    row["temperature_c"] = max(facts["temperatures_c"].values(), default=None)
    return row
