"""The TFLite runtime of a device that a latency table is measured in."""

from __future__ import annotations

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.devices import Device
from edgecmp.benchmarks.devices.benchmark_model import NAME
from edgecmp.errors import UserError, unknown_choice

__all__ = ["RUNTIMES", "choose_runtime", "require_runtime"]

RUNTIMES = ("litert", "tflite-runtime", NAME)
"""The first of them that a device has is used."""


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
        "'numpy<2'; a phone without Python is timed by ?benchmark_model=PATH (docs/how-to/android.md).",
    )


def require_runtime(table: LatencyTable, device: Device) -> None:
    """Refuses a device whose runtime is not the table's own.

    Raises:
        UserError: it has another version by now, or none.
    """
    name, version = choose_runtime(device, table.runtime)
    if version != table.version:
        raise UserError(
            f"The table was measured in {name} {table.version}, and {device.name} has {version} "
            "now, so its times do not hold.",
            f"Build it again: edgecmp latency build --device {table.device}.",
        )
