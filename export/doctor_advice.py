"""Facts about this machine, and advice on what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from edgecmp.export.install import EXTRA, no_wheels
from edgecmp.export.runtimes.runners import RUNTIMES

__all__ = ["NOT_WRITTEN", "advice_on", "machine_facts"]

PACKAGES = {runtime.name: runtime.package for runtime in RUNTIMES}
MIN_FREE_GB = 2.0
NOT_WRITTEN = "cannot be written"
"""How the note begins if a file of the target cannot be written."""

PROGRAMS = {
    "adb": "an Android phone: install Android's platform-tools and put adb on the PATH",
    "ssh": "a board: install an OpenSSH client",
}
"""Programs that `edgecmp bench` needs for devices other than this machine."""


def machine_facts() -> dict[str, Any]:
    """System, Python, cores, free disk and the path of each program, by name."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "free disk here": f"{_free_gb():.1f} GB",
        **{name: shutil.which(name) or "not found" for name in PROGRAMS},
    }


def advice_on(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is missing, and the command or step that adds it; each entry once.

    Args:
        rows: see `DoctorReport.rows`.
        facts: from `machine_facts`.
    """
    advice: dict[str, str] = {}
    for row in rows:
        if row["verdict"] == "not here":
            writer = row["note"].startswith(NOT_WRITTEN)
            what = f"{row['target']} files" if writer else f"The runtime {row['runtime']}"
            advice.setdefault(f"{what}: {row['note']}.", _way_out(row))
    for name, use in PROGRAMS.items():
        if facts[name] == "not found":
            advice[f"The program {name}: not found."] = f"It is needed only for {use}."
    if _free_gb() < MIN_FREE_GB:
        advice[f"Only {facts['free disk here']} are free on this disk."] = (
            "Free some space before a training."
        )
    return [{"missing": missing, "add": step} for missing, step in advice.items()]


def _way_out(row: Mapping[str, Any]) -> str:
    """How to make a runtime or the writer of a target available."""
    note = str(row["note"])
    if "macOS" in note:
        return "It runs on a Mac only: run `edgecmp doctor` and `edgecmp parity` there."
    package = "coremltools" if "coremltools" in note else PACKAGES[row["runtime"]]
    if note.startswith(NOT_WRITTEN) and package not in note:
        package = ""
    if reason := no_wheels(package):
        return f"It cannot be installed here: {reason}."
    if row["runtime"] == "tflite-runtime" and "numpy" in note:
        return "Install an older numpy: pip install 'numpy<2'"
    return f"Install it: {EXTRA}"


def _free_gb() -> float:
    return shutil.disk_usage(Path.cwd()).free / 1e9
