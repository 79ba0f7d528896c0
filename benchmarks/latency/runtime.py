"""The TFLite runtime of the device in which a latency table is measured."""

from __future__ import annotations

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.devices import Device
from edgecmp.benchmarks.devices.benchmark_binary import NAME
from edgecmp.errors import UserError, unknown_choice

__all__ = ["RUNTIMES", "choose_runtime", "require_runtime"]

RUNTIMES = ("litert", "tflite-runtime", NAME)
"""In order of preference: by default the first one that the device has is used."""


def choose_runtime(device: Device, wanted: str | None) -> tuple[str, str]:
    """The TFLite runtime to use on a device, and its version.

    Raises:
        UserError: the runtime is unknown, or the device has none or not the wanted one.
    """
    found = device.facts["runtimes"]
    if wanted is not None and wanted not in RUNTIMES:
        raise unknown_choice("TFLite runtime", wanted, RUNTIMES)
    names = [wanted] if wanted else RUNTIMES
    for name in names:
        if "version" in found.get(name, {}):
            return name, found[name]["version"]
    reasons = "; ".join(
        f"{name}: {found.get(name, {}).get('reason', 'not there')}"
        for name in names
        if name in (*found, wanted)
    )
    raise UserError(
        f"{device.name} has no TFLite runtime ({reasons}).",
        "Install one for its Python: pip install ai-edge-litert, or pip install tflite-runtime "
        "'numpy<2'; a phone without Python needs ?benchmark_model=PATH (see "
        "docs/how-to/android.md).",
    )


def require_runtime(table: LatencyTable, device: Device) -> None:
    """Refuses a table that was measured in another version of the device's runtime.

    Raises:
        UserError: the device has another version now, or lacks the runtime.
    """
    name, version = choose_runtime(device, table.runtime)
    if version != table.version:
        raise table.out_of_date(
            f"it was measured in {name} {table.version}, and the device has {version} now"
        )
