"""Boards and servers over ssh: the user's own ssh client, with the user's own keys and config."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from edgecmp.benchmarks.devices.shell import Answer, ShellDevice, call
from edgecmp.benchmarks.devices.spec import DeviceSpec
from edgecmp.errors import UserError

__all__ = ["SshDevice"]

CONNECT_S = 15
"""Seconds to connect in."""

FAULTS = {
    "Permission denied": (
        "refuses the key",
        "Put your key there with `ssh-copy-id {host}`, until `ssh {host} true` asks nothing.",
    ),
    "Host key verification failed": (
        "has a host key that this machine does not know, or another than before",
        "Look at it once with `ssh {host}` and accept it if it is right.",
    ),
    "Could not resolve": (
        "has a name that nobody knows",
        "Correct the name, or use its address: ssh://user@192.168.1.7.",
    ),
    "": ("cannot be reached", "Check that `ssh {host} true` works, then run the same command."),
}
"""By what ssh says: what is wrong, and the way out."""


class SshDevice(ShellDevice):
    """A machine with sshd and Python, one connection that all commands share.

    Options of its name: `python`, an interpreter other than python3, and `config`, a file like
    ~/.ssh/config to use in its place.

    Raises:
        UserError: it cannot be reached, or there is no ssh client.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        if shutil.which("ssh") is None:
            raise UserError(
                "There is no ssh client on this machine.",
                "Install one; on Debian: sudo apt install openssh-client.",
            )
        host, colon, port = spec.address.rpartition(":")
        self._host, self._port = (host, port) if colon and port.isdigit() else (spec.address, "")
        self._config = spec.options.get("config", "")
        self._sockets = tempfile.TemporaryDirectory(prefix="edgecmp-ssh-")
        try:
            super().__init__(spec.text, spec.options.get("python", "python3"))
        except BaseException:
            self._disconnect()
            raise

    def _options(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_S),
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "ControlMaster": "auto",
            "ControlPath": f"{self._sockets.name}/%C",
            "ControlPersist": "60",
        }
        flags = [flag for key, value in options.items() for flag in ("-o", f"{key}={value}")]
        config = ["-F", self._config] if self._config else []
        return [*config, *flags, *(["-p", self._port] if self._port else [])]

    def _make_folder(self) -> str:
        answer = self._shell('mktemp -d "${TMPDIR:-/tmp}/edgecmp.XXXXXX"', timeout_s=2 * CONNECT_S)
        if answer.code == 0:
            return answer.stdout.strip().splitlines()[-1]
        lines = answer.stderr.strip().splitlines()
        detail = f" ({lines[-1].rstrip('.')})" if lines else ""
        fault, way_out = next(value for key, value in FAULTS.items() if key in answer.stderr)
        host = self._host + (f" -p {self._port}" if self._port else "")
        raise UserError(f"{self.name_of()} {fault}{detail}.", way_out.format(host=host))

    def name_of(self) -> str:
        """The device's name without its options."""
        return f"ssh://{self._host}" + (f":{self._port}" if self._port else "")

    def _shell(self, script: str, *, timeout_s: float) -> Answer:
        return call(["ssh", *self._options(), self._host, script], timeout_s=timeout_s)

    def _send(self, path: Path, remote: str) -> Answer:
        command = ["ssh", *self._options(), self._host, f"cat > '{remote}'"]
        with path.open("rb") as file:
            return call(command, timeout_s=600.0, stdin=file)

    def _fetch(self, remote: str, path: Path) -> Answer:
        command = ["ssh", *self._options(), self._host, f"cat '{remote}'"]
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
        call(["ssh", *self._options(), "-O", "exit", self._host], timeout_s=10.0)
        self._sockets.cleanup()
