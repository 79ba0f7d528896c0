"""The common base of ssh and adb: a folder on the device, and commands for its shell."""

from __future__ import annotations

import re
import shlex
import subprocess
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgecmp.benchmarks.devices.device import Device
from edgecmp.benchmarks.devices.errors import (
    DeviceKilledError,
    DeviceLostError,
    DeviceRunError,
    DeviceTimeoutError,
)
from edgecmp.errors import UserError
from edgecmp.files import sha256_file

__all__ = ["PATH_MARK", "Answer", "ShellDevice", "call", "remote_path"]

EXIT_MARK = "edgecmp-exit-code:"
"""Precedes the exit code at the end of every output. The code of the client itself is not reliable:
it is 0 if the device is lost during a command, and old Android versions do not forward it."""

PATH_MARK = "edgecmp-path:"
"""Precedes a path on the device that a script prints, since its shell may print other lines."""

KILLED = 128 + 9
"""Exit code of a command that was ended by SIGKILL."""

PID = "pid"
"""File in the device's folder with the id of the running process."""

END_S = 10.0
"""Timeout in seconds for ending a command and for cleaning up."""

NO_SPACE = ("No space left on device", "Disk quota exceeded")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The result of a client program (ssh, adb).

    Attributes:
        stdout, stderr: its output, up to the timeout if it was ended.
        code: its exit code; None if it exceeded its timeout and was ended.
    """

    stdout: str
    stderr: str
    code: int | None


def call(command: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | None = None) -> Answer:
    """Runs a program on this machine for at most `timeout_s` seconds."""
    with subprocess.Popen(
        list(command),
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        code: int | None
        try:
            out, err = process.communicate(timeout=timeout_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            code = None
            try:
                out, err = process.communicate(timeout=1.0)
            except subprocess.TimeoutExpired as error:  # ssh's master also holds the pipes open
                out, err = error.stdout or b"", error.stderr or b""
        except BaseException:
            process.kill()
            raise
    texts = [data.decode(errors="replace").replace("\r\n", "\n") for data in (out, err)]
    return Answer(stdout=texts[0], stderr=texts[1], code=code)


def remote_path(text: str) -> str:
    """A path as a word of the device's shell: quoted, except for `~` or `~user` at its start."""
    match = re.fullmatch(r"(~[\w.-]*)(?:/(.*))?", text)
    if match is None:
        return shlex.quote(text)
    return f"{match[1]}/{shlex.quote(match[2])}" if match[2] else match[1]


class ShellDevice(Device):
    """A device with a POSIX shell that is reached through a client program.

    Pushed files are stored in a new folder, which `close` removes; each file is sent only once.
    """

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self.python = python
        self._sent: dict[tuple[Path, int, int], str] = {}
        self.folder = self._make_folder()
        if python.startswith("~"):  # commands are quoted, so the shell would not expand it
            script = f'p={remote_path(python)}; echo "{PATH_MARK}$p"'
            told = self._shell(script, timeout_s=END_S)
            lines = told.stdout.partition(PATH_MARK)[2].splitlines()
            self.python = lines[0].strip() if lines else python

    @abstractmethod
    def _make_folder(self) -> str:
        """Connects, creates a new folder on the device and returns its path.

        Raises:
            UserError: the device cannot be reached; the message says why.
        """

    @abstractmethod
    def _shell(self, script: str, *, timeout_s: float) -> Answer:
        """Runs a script in the device's shell."""

    @abstractmethod
    def _send(self, path: Path, remote: str) -> Answer:
        """Copies a file to the device."""

    @abstractmethod
    def _fetch(self, remote: str, path: Path) -> Answer:
        """Copies a file from the device."""

    def push(self, path: Path) -> str:
        """See `Device.push`."""
        stat = path.stat()
        key = path.resolve(), stat.st_mtime_ns, stat.st_size
        if key not in self._sent:
            remote = f"{self.folder}/{sha256_file(path)[:12]}-{path.name}"
            answer = self._send(path, remote)
            size = self._size(remote) if answer.code == 0 else None
            if size != stat.st_size:
                raise self._not_sent(path, remote, answer)
            self._sent[key] = remote
        return self._sent[key]

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> str:
        """See `Device.run`."""
        exports = "".join(
            f"export {name}={shlex.quote(value)}; " for name, value in (environment or {}).items()
        )
        pid = shlex.quote(f"{self.folder}/{PID}")
        script = (
            f"{exports}{shlex.join(command)} & p=$!; echo $p > {pid}; wait $p; c=$?; "
            f"rm -f {pid}; echo {EXIT_MARK}$c"
        )
        answer = self._shell(script, timeout_s=timeout_s)
        output, mark, code = answer.stdout.rpartition(EXIT_MARK)
        if not mark or not code.strip().isdigit():
            if answer.code is None:
                self._shell(self._end(), timeout_s=END_S)
                raise DeviceTimeoutError(f"it took longer than {timeout_s:.0f} s", answer.stdout)
            raise self._lost(f"while it ran {_program(command)}", answer)
        if int(code) == KILLED:
            raise DeviceKilledError(
                f"{self.name} killed {_program(command)}, probably for lack of memory.",
                "Close other programs there, then run the same command again to resume.",
                output,
            )
        if int(code) != 0:
            lines = (answer.stderr.strip() or output.strip()).splitlines()
            reason = lines[-1] if lines else "no message"
            raise DeviceRunError(f"{reason} (exit code {int(code)})", output, int(code))
        return output

    def pull(self, remote: str, path: Path) -> None:
        """See `Device.pull`."""
        size = self._size(remote)
        answer = self._fetch(remote, path)
        if answer.code != 0 or path.stat().st_size != size:
            path.unlink(missing_ok=True)
            raise self._lost(f"while it sent {Path(remote).name}", answer)

    def close(self) -> None:
        """See `Device.close`; the folder remains on a device that was lost."""
        self._shell(f"{self._end()}; rm -rf {shlex.quote(self.folder)}", timeout_s=END_S)

    def _end(self) -> str:
        """A script that ends the command that still runs after an interrupt or a timeout."""
        pid = shlex.quote(f"{self.folder}/{PID}")
        return f"test -f {pid} && kill $(cat {pid}); rm -f {pid}"

    def _size(self, remote: str) -> int:
        """Size in bytes of a file on the device; -1 if its answer is none."""
        lines = self.run(["wc", "-c", remote]).strip().splitlines()
        match = re.match(r"\s*([0-9]+)\b", lines[-1] if lines else "")
        return int(match[1]) if match else -1

    def _not_sent(self, path: Path, remote: str, answer: Answer) -> UserError:
        """Why a file did not arrive completely; removes the part that did."""
        try:
            self.run(["rm", "-f", remote], timeout_s=END_S)
        except (DeviceLostError, DeviceRunError):
            return self._lost(f"while it received {path.name}", answer)
        lines = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        if any(text in line for line in lines for text in NO_SPACE):
            return UserError(
                f"{self.name} has no room for {path.name} ({path.stat().st_size / 1e6:.1f} MB).",
                f"Free some space in {Path(self.folder).parent} there, then run the same "
                "command again.",
            )
        return UserError(
            f"{self.name} cannot store {path.name} ({lines[-1] if lines else 'no message'}).",
            f"Check {Path(self.folder).parent} there, then run the same command again.",
        )

    def _lost(self, when: str, answer: Answer) -> DeviceLostError:
        lines = answer.stderr.strip().splitlines()
        detail = f" ({lines[-1].rstrip('.')})" if lines else ""
        return DeviceLostError(
            f"The connection to {self.name} was lost {when}{detail}.",
            "Connect it again, then run the same command again to resume.",
            answer.stdout,
        )


def _program(command: Sequence[str]) -> str:
    """The name of the program that runs, without `sh -c SCRIPT` and the prefix of pushed files."""
    name = command[3] if list(command[:2]) == ["sh", "-c"] and len(command) > 3 else command[0]
    return re.sub(r"^[0-9a-f]{12}-", "", Path(name).name)
