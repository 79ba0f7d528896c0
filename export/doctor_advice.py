"""Facts about this machine, and advice on what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgecmp.export.install import EXTRA, no_wheels
from edgecmp.export.runtimes.runners import RUNTIMES

__all__ = ["advice_on", "machine_facts"]

PACKAGES = {runtime.name: runtime.package for runtime in RUNTIMES}
MIN_FREE_GB = 2.0
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
    numpy_2 = int(np.__version__.partition(".")[0]) >= 2
    if numpy_2 and not no_wheels("tflite-runtime"):
        advice[f"numpy {np.__version__}: tflite-runtime 2.14 needs numpy < 2"] = (
            "pip install 'numpy<2'"
        )
    for row in rows:
        if row["verdict"] == "not here":
            missing = f"{row['runtime']} ({row['target']} files): {row['note']}"
            advice.setdefault(missing, _way_out(row))
    for name, use in PROGRAMS.items():
        if facts[name] == "not found":
            advice[f"{name}: not found"] = f"only needed for {use}"
    if _free_gb() < MIN_FREE_GB:
        advice[f"{facts['free disk here']} of free disk"] = "free some space before a training"
    return [{"missing": missing, "add": step} for missing, step in advice.items()]


def _way_out(row: Mapping[str, Any]) -> str:
    """How to make a runtime available."""
    if "macOS" in row["note"]:
        return "run `edgecmp doctor` and `edgecmp parity` on a Mac; it cannot be installed here"
    if reason := no_wheels(PACKAGES[row["runtime"]]):
        return f"it cannot be installed here: {reason}"
    if "numpy" in row["note"]:
        return "pip install 'numpy<2'"
    return EXTRA


def _free_gb() -> float:
    return shutil.disk_usage(Path.cwd()).free / 1e9
