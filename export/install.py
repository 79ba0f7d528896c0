"""How a package of the extra `export` is installed on this machine, or why it cannot be."""

from __future__ import annotations

import platform
import sys

__all__ = ["EXTRA", "how_to_install", "no_wheels"]

EXTRA = "pip install 'edgecmp[export]'"
"""The command that installs every package of the extra that has wheels for this machine."""


def no_wheels(
    package: str,
    *,
    system: str = sys.platform,
    machine: str = platform.machine(),
    version: tuple[int, int] = sys.version_info[:2],
) -> str:
    """Which machines the wheels of a package are for; empty if they are for this one too.

    Args:
        package: a package of the extra `export`.
        system: as `sys.platform`.
        machine: as `platform.machine()`.
        version: of Python.
    """
    if package == "coremltools":
        has_system = system == "darwin" or (system, machine) == ("linux", "x86_64")
        if not has_system or version >= (3, 14):
            return "coremltools has wheels for macOS and for Linux on x86-64, up to Python 3.13"
    if package == "tflite-runtime" and (system != "linux" or version >= (3, 12)):
        return "tflite-runtime has wheels for Linux only, up to Python 3.11"
    return ""


def how_to_install(*packages: str) -> str:
    """The command that installs the packages, or the reason why none does on this machine."""
    reasons = [reason for package in packages if (reason := no_wheels(package))]
    if reasons:
        return f"They cannot be installed here: {'; '.join(reasons)}."
    return f"Install with `{EXTRA}`."
