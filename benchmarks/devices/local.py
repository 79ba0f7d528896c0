"""This machine as a device."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgecmp.benchmarks.devices.device import Device
from edgecmp.benchmarks.devices.errors import (
    DeviceKilledError,
    DeviceRunError,
    DeviceTimeoutError,
)
from edgecmp.errors import system_reason

__all__ = ["LocalDevice"]


class LocalDevice(Device):
    """This machine: files are used in place, and commands run as separate processes."""

    name = "local"
    python = sys.executable

    def push(self, path: Path) -> str:
        """The absolute path; nothing is copied."""
        return str(path.resolve())

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> str:
        """See `Device.run`."""
        try:
            done = subprocess.run(
                list(command),
                env={**os.environ, **(environment or {})},
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            so_far = error.stdout.decode(errors="replace") if error.stdout else ""
            raise DeviceTimeoutError(f"it took longer than {timeout_s:.0f} s", so_far) from error
        except OSError as error:
            raise DeviceRunError(f"{command[0]}: {system_reason(error)}") from error
        if done.returncode == -signal.SIGKILL:
            raise DeviceKilledError(
                f"This machine killed {Path(command[0]).name}, probably for lack of memory.",
                "Close other programs, then run the same command again.",
                done.stdout,
            )
        if done.returncode != 0:
            code = done.returncode if done.returncode > 0 else 128 - done.returncode
            lines = done.stderr.strip().splitlines()
            reason = lines[-1] if lines else "no message"
            raise DeviceRunError(f"{reason} (exit code {code})", done.stdout, code)
        return done.stdout

    def pull(self, remote: str, path: Path) -> None:
        """Copies `remote` to `path` unless they are the same file."""
        if Path(remote).resolve() == path.resolve():
            return
        try:
            shutil.copyfile(remote, path)
        except OSError as error:
            reason = system_reason(error)
            raise DeviceRunError(f"{remote} cannot be copied to {path}: {reason}") from error

    def close(self) -> None:
        """Does nothing, since nothing was copied."""
