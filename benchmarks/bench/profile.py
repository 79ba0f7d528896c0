"""The per-operator profile of a file on a device, or the reason why there is none."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.bench.operator_times import profile
from edgecmp.benchmarks.devices import Device
from edgecmp.benchmarks.devices.tflite_inputs import tflite_inputs
from edgecmp.errors import UserError

__all__ = ["file_profile"]


def file_profile(path: Path, machine: Device, *, refused: bool = False) -> dict[str, Any]:
    """Profiles a file with the LiteRT that is installed on the device, with one thread.

    Args:
        path: the file.
        machine: the device.
        refused: whether it could not be timed; it is then not opened again.

    Returns:
        file, reason (empty if it succeeded), whole_us, and operators in the order in which they
        run: kind, name, shape, time_us, macs, delegated.
    """
    found = machine.facts["runtimes"].get("litert", {})
    reason = ""
    if path.suffix != ".tflite":
        reason = "operators are profiled by LiteRT, which loads only .tflite files"
    elif refused:
        reason = "it could not be timed"
    elif _free_size(path):
        reason = "LiteRT's profiler runs only files that fix the size of their input"
    elif "version" not in found:
        why = f" ({found['reason']})" if "reason" in found else ""
        reason = f"ai-edge-litert is not installed for the Python of {machine.name}{why}"
    else:
        try:
            measured = profile(path, device=machine)
        except UserError as error:
            reason = str(error)
    if reason:
        return {"file": str(path), "reason": reason, "whole_us": None, "operators": []}
    return {"file": str(path), "reason": "", **asdict(measured)}


def _free_size(path: Path) -> bool:
    """Whether the file leaves an axis of its input open, besides the batch."""
    try:
        inputs = tflite_inputs(path.read_bytes())
    except ValueError:  # damaged, which LiteRT then says
        return False
    return any(None in found.axes[1:] for found in inputs)
