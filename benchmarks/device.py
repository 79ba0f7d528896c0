"""Devices that models are timed on, all behind one interface."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgecmp.errors import unknown_choice

__all__ = ["Device", "DeviceRunError", "LocalDevice", "open_device"]

RUNNER = Path(__file__).resolve().parent / "runner.py"
END_MARK = "edgecmp-runner: end"


class DeviceRunError(Exception):
    """A command on the device failed, timed out or lost its output; the message is the reason."""


class Device(ABC):
    """A machine that can run models: files go there, commands run there, files come back.

    Attributes:
        name: as the user gave it, such as "local".
        python: the command of the device's Python.
    """

    name: str
    python: str

    @abstractmethod
    def push(self, path: Path) -> str:
        """Copies a file to the device and returns its path there."""

    @abstractmethod
    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> str:
        """Runs a command there and returns its standard output.

        Raises:
            DeviceRunError: it failed, took longer than `timeout_s`, or the device was lost.
        """

    @abstractmethod
    def pull(self, remote: str, path: Path) -> None:
        """Copies a file of the device to `path`."""

    @abstractmethod
    def close(self) -> None:
        """Removes what was pushed and ends the connection."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Processor, cores, system, runtimes with versions, governor and temperatures."""
        return self.run_runner()

    def run_runner(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> dict[str, Any]:
        """Runs the device-side runner (see `edgecmp.benchmarks.runner`) and reads its document.

        Raises:
            DeviceRunError: as `run`, or the output is not whole.
        """
        command = [self.python, self.push(RUNNER), *arguments]
        output = self.run(command, environment=environment, timeout_s=timeout_s)
        body, mark, _ = output.partition(END_MARK)
        lines = body.strip().splitlines()
        if not mark or not lines:
            raise DeviceRunError("the output of the runner was cut off")
        document: dict[str, Any] = json.loads(lines[-1])
        return document

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class LocalDevice(Device):
    """This machine: files stay where they are, commands are processes of their own."""

    name = "local"
    python = sys.executable

    def push(self, path: Path) -> str:
        """The path itself, absolute."""
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
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceRunError(f"it took longer than {timeout_s:.0f} s") from error
        except OSError as error:
            raise DeviceRunError(str(error)) from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            reason = lines[-1] if lines else "no message"
            raise DeviceRunError(f"{reason} (exit code {done.returncode})")
        return done.stdout

    def pull(self, remote: str, path: Path) -> None:
        """Copies `remote` to `path` unless they are the same file."""
        if Path(remote).resolve() == path.resolve():
            return
        try:
            shutil.copyfile(remote, path)
        except OSError as error:
            raise DeviceRunError(str(error)) from error

    def close(self) -> None:
        """Nothing was copied, so nothing is removed."""


DEVICES: dict[str, type[Device]] = {"local": LocalDevice}


def open_device(name: str) -> Device:
    """The device of that name.

    Raises:
        UserError: there is no such device; the message lists them.
    """
    if name not in DEVICES:
        raise unknown_choice("device", name, DEVICES)
    return DEVICES[name]()
