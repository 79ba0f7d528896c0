"""Boards and servers over ssh, through the user's own ssh client, keys and configuration."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.devices.errors import DeviceRunError
from edgecmp.benchmarks.devices.shell import (
    PATH_MARK,
    Answer,
    ShellDevice,
    call,
    remote_path,
)
from edgecmp.benchmarks.devices.spec import DeviceSpec, local_path
from edgecmp.benchmarks.devices.ssh_address import SshAddress
from edgecmp.errors import UserError
from edgecmp.storage.temporary import unwritable

__all__ = ["SshDevice"]

CONNECT_S = 15
"""Timeout in seconds for the connection."""

SEND_S = 600.0
"""Timeout in seconds for the transfer of one file."""

OLDEST_PYTHON = (3, 8)

LONGEST_SOCKET = 80
"""Characters of the path of a folder for a socket; ssh adds about 20, and systems allow 104."""

USAGE = "usage: ssh"
"""Begins what the client prints for arguments that it does not understand."""

FAULTS = {
    "No space left": (
        "has no room for a temporary folder",
        "Free some space there, or name another place: ?folder=/home/user.",
    ),
    "mktemp: ": (
        "cannot create a temporary folder",
        "Name a place that you can write to: ?folder=/home/user.",
    ),
    "Permission denied": (
        "refuses the key",
        "Install your key there with ssh-copy-id, until `{ssh} true` runs without a question.",
    ),
    "Too many authentication failures": (
        "refuses the keys",
        "Name the right one in ~/.ssh/config (IdentityFile, IdentitiesOnly yes), until "
        "`{ssh} true` runs without a question.",
    ),
    "Host key verification failed": (
        "has a host key that is unknown or has changed",
        "Run `{ssh}` once, and accept the key if it is the right one.",
    ),
    "Could not resolve": (
        "has a host name that cannot be resolved",
        "Correct the name, or use an IP address: ssh://user@192.168.1.7.",
    ),
    USAGE: (
        "is an address that the ssh client here does not understand",
        "Check that `{ssh} true` works, and name that host.",
    ),
    "": ("cannot be reached", "Check that `{ssh} true` works, then run the same command."),
}
"""By a part of ssh's message: what is wrong, and the way out."""


class SshDevice(ShellDevice):
    """A machine with sshd and Python; all commands share one connection.

    Options of its name: `python`, an interpreter other than python3; `folder`, a place other than
    /tmp for the files that are sent; `config`, a file to use instead of ~/.ssh/config.

    Raises:
        UserError: the machine cannot be reached, or there is no ssh client.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        if shutil.which("ssh") is None:
            raise UserError(
                "There is no ssh client on this machine.",
                "Install one; on Debian: sudo apt install openssh-client.",
            )
        self._words = SshAddress.parse(spec.address).words
        config = spec.options.get("config")
        self._client = ["ssh", *(["-F", str(local_path(config))] if config else [])]
        self._address = f"ssh://{spec.address}"
        self._place = spec.options.get("folder", "")
        self._sockets = _socket_folder()
        try:
            super().__init__(self._address, spec.options.get("python", "python3"))
        except BaseException:
            self._disconnect()
            raise

    @cached_property
    def facts(self) -> dict[str, Any]:
        """See `Device.facts`.

        Raises:
            UserError: the device has no Python that can run the runner.
        """
        try:
            return self.run_runner()
        except DeviceRunError as error:
            raise self._no_runner(error) from error

    def _no_runner(self, error: DeviceRunError) -> UserError:
        """Why the runner does not run: usually a missing or outdated Python."""
        named = f"{self._address}?python=/path/to/python3"
        least = ".".join(map(str, OLDEST_PYTHON))
        try:
            code = "import sys; print(sys.version)"
            found = re.match(r"(\d+)\.(\d+)\S*", self.run([self.python, "-c", code]))
        except DeviceRunError as failure:
            return UserError(
                f"{self.name} has no Python called {self.python} ({failure}).",
                f"Install Python {least} or later there, or name one: {named}.",
            )
        if found and tuple(map(int, found.groups())) < OLDEST_PYTHON:
            return UserError(
                f"The Python of {self.name} must be {least} or later (it is {found[0]}).",
                f"Name a later one: {named}.",
            )
        return UserError(
            f"{self.name} cannot run the measuring program ({error}).",
            f"Check its Python ({self.python}), or name another: {named}.",
        )

    def _ssh(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_S),
            "LogLevel": "ERROR",  # banners and warnings are not errors
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "6",
            "ControlMaster": "auto",
            "ControlPath": f"{self._sockets.name}/s",
            "ControlPersist": "60",
        }
        flags = [flag for key, value in options.items() for flag in ("-o", f"{key}={value}")]
        return [*self._client, *flags]

    def _make_folder(self) -> str:
        place = remote_path(self._place) if self._place else '"${TMPDIR:-/tmp}"'
        script = f'd=$(mktemp -d {place}/edgecmp.XXXXXX) && echo "{PATH_MARK}$d"'
        answer = self._shell(script, timeout_s=2 * CONNECT_S)
        _, mark, folder = answer.stdout.partition(PATH_MARK)
        if answer.code == 0 and mark:
            return folder.splitlines()[0].strip()
        ssh = shlex.join([*self._client, *self._words])
        lines = answer.stderr.strip().splitlines()
        if answer.code == 0:
            printed = (lines or answer.stdout.strip().splitlines() or ["nothing"])[-1]
            raise UserError(
                f"{self.name} does not run commands (it printed: {printed[:200]}).",
                f"Use an account with a shell, in which `{ssh} echo 1` prints 1.",
            )
        fault, way_out = next(value for key, value in FAULTS.items() if key in answer.stderr)
        detail = f" ({lines[-1].rstrip('.')})" if lines and USAGE not in answer.stderr else ""
        if answer.code is None:
            detail = f" (no answer within {2 * CONNECT_S} s)"
        raise UserError(f"{self.name} {fault}{detail}.", way_out.format(ssh=ssh))

    def _shell(self, script: str, *, timeout_s: float) -> Answer:
        words = [*self._ssh(), *self._words, f"sh -c {shlex.quote(script)}"]
        return call(words, timeout_s=timeout_s)

    def _send(self, path: Path, remote: str) -> Answer:
        with path.open("rb") as file:
            command = [*self._ssh(), *self._words, f"cat > {shlex.quote(remote)}"]
            return call(command, timeout_s=SEND_S, stdin=file)

    def _fetch(self, remote: str, path: Path) -> Answer:
        command = [*self._ssh(), *self._words, f"cat {shlex.quote(remote)}"]
        with path.open("wb") as file:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, check=False
            )
        return Answer(stdout="", stderr=done.stderr.decode(errors="replace"), code=done.returncode)

    def close(self) -> None:
        """See `Device.close`."""
        super().close()
        self._disconnect()

    def _disconnect(self) -> None:
        call([*self._ssh(), "-O", "exit", *self._words], timeout_s=10.0)
        self._sockets.cleanup()


def _socket_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the socket of the shared connection, whose path must be short."""
    try:
        place = tempfile.gettempdir()
        short = place if len(place) < LONGEST_SOCKET else "/tmp"
        return tempfile.TemporaryDirectory(prefix="edgecmp-ssh-", dir=short)
    except OSError as error:
        raise unwritable(error) from error
