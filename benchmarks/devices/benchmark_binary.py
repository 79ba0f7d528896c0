"""The program benchmark_model on this machine: where it is, and what processor it was built for."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from edgecmp.benchmarks.devices.spec import local_path
from edgecmp.errors import UserError, system_reason
from edgecmp.files import write_atomic
from edgecmp.progress import say

__all__ = ["NAME", "find_binary", "require_abi"]

NAME = "benchmark_model"
"""Name of this runtime in reports."""

MACHINES = {
    183: ("arm64-v8a", "aarch64"),
    40: ("armeabi-v7a", "armv7l", "armv8l"),
    62: ("x86_64",),
    3: ("x86", "i686"),
    243: ("riscv64",),
}
"""By the machine number of an ELF header: its names in Android and in `uname -m`."""


def find_binary(text: str) -> Path:
    """The program on this machine: a path, or a copy downloaded from an http(s) address.

    The copy is kept in `~/.cache/edgecmp` (or XDG_CACHE_HOME) and reused.

    Raises:
        UserError: there is no such file, or the download failed.
    """
    if not text.startswith(("http://", "https://")):
        path = local_path(text)
        if not path.is_file():
            raise UserError(
                f"?{NAME} does not name a file (got {text or 'an empty path'}).",
                f"Write ?{NAME}=PATH or ?{NAME}=https://... (docs/how-to/android.md says where to "
                "get it).",
            )
        return path
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "edgecmp"
    path = cache / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-{NAME}"
    if not path.exists():
        say(f"Downloading {text}")
        try:
            with urllib.request.urlopen(text, timeout=60) as answer:
                data = answer.read()
        except (OSError, ValueError, http.client.HTTPException) as error:
            cut = isinstance(error, http.client.IncompleteRead)
            reason = "it was cut off" if cut else getattr(error, "reason", None) or error
            raise UserError(
                f"{text} cannot be downloaded ({reason}).",
                f"Download it yourself and write ?{NAME}=PATH.",
            ) from error
        _machine(data[:20], text)
        write_atomic(path, data)
    return path


def _machine(header: bytes, name: str) -> int:
    """The machine number in the first 20 bytes of a program."""
    if len(header) < 20 or header[:4] != b"\x7fELF":
        raise UserError(
            f"{name} is not an Android program: it has no ELF header.",
            f"Name the {NAME} binary itself, not an archive, an .apk or a web page.",
        )
    return int.from_bytes(header[18:20], "little")


def require_abi(path: Path, abis: Sequence[str], device: str) -> None:
    """Refuses a program that was built for another processor.

    Args:
        path: the program, on this machine.
        abis: ABIs that the device supports: "arm64-v8a", "armeabi-v7a", ...
        device: name of the device, for the message.

    Raises:
        UserError: it was built for another processor, or is not a program.
    """
    try:
        with path.open("rb") as file:
            machine = _machine(file.read(20), str(path))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {system_reason(error)}.",
            "Check that you are allowed to read it.",
        ) from error
    names = MACHINES.get(machine, (f"ELF machine {machine}",))
    if not set(names) & set(abis):
        raise UserError(
            f"{path.name} was built for {names[0]}, but {device} runs {', '.join(abis)}.",
            f"Name a {NAME} built for {abis[0] if abis else 'this device'}.",
        )
