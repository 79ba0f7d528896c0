"""The virtual arm64 board: a Linux with sshd in qemu, whose clock counts instructions.

A nanosecond is one instruction, so the same model takes the same time on every machine. It knows no
caches: a device to test with, never a source of latencies.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tests.testbeds.recipe import BOARD, missing

__all__ = ["Board"]

BOOT_S = 120.0
"""Longest time to boot in, on a machine whose cores are busy."""

CONFIG = """\
Host board
  HostName 127.0.0.1
  Port {port}
  User root
  IdentityFile {key}
  IdentitiesOnly yes
  UserKnownHostsFile {known_hosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


class Board:
    """A running board; `boot` starts one.

    Attributes:
        ssh_port: port of 127.0.0.1 that leads to its sshd.
        adb_port: port of 127.0.0.1 that leads to its port 5555.
        key_folder: holds the keys "key" and "stranger", which it knows and does not know.
        folder: of this boot, with `ssh_config`, which names it "board", and `console`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.key_folder = folder, BOARD
        self.ssh_port, self.adb_port = _free_port(), _free_port()
        (folder / "known_hosts").write_text(
            f"[127.0.0.1]:{self.ssh_port} {(BOARD / 'host_key.pub').read_text()}"
        )
        self.config()
        with (folder / "console").open("wb") as console:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )

    @classmethod
    @contextmanager
    def boot(cls) -> Iterator[Self]:
        """Boots a board, waits until ssh answers, and ends it afterwards.

        Raises:
            RuntimeError: it is not set up or does not answer; the text says why.
        """
        reason = missing()
        if reason:
            raise RuntimeError(reason)
        folder = Path(tempfile.mkdtemp(prefix="edgecmp-board-"))
        board = cls(folder)
        try:
            board.wait()
            yield board
        finally:
            board.kill()
            shutil.rmtree(folder)

    @property
    def name(self) -> str:
        """What `--device` calls it."""
        return self.named()

    def named(self, **options: str) -> str:
        """The same with further options, such as `python`; `config` replaces its own."""
        chosen = {"config": str(self.folder / "ssh_config"), **options}
        return "ssh://board?" + "&".join(f"{key}={quote(text)}" for key, text in chosen.items())

    def config(
        self,
        file: str = "ssh_config",
        *,
        port: int | None = None,
        key: str = "key",
        known_hosts: str = "known_hosts",
    ) -> str:
        """Writes a client configuration under that name and returns its path."""
        path = self.folder / file
        path.write_text(
            CONFIG.format(
                port=port or self.ssh_port,
                key=BOARD / key,
                known_hosts=self.folder / known_hosts,
            )
        )
        return str(path)

    def ssh(self, script: str, *, timeout_s: float = 60.0) -> str:
        """Runs a shell script there and returns its output.

        Raises:
            subprocess.CalledProcessError, subprocess.TimeoutExpired: it failed or took longer.
        """
        command = ["ssh", "-F", str(self.folder / "ssh_config"), "board", script]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=True
        )
        return done.stdout.decode()

    def start_python(self, path: Path, *arguments: str) -> None:
        """Copies a Python file there and starts it in the background; /tmp/FILE.log is its log."""
        config = str(self.folder / "ssh_config")
        words = " ".join(arguments)
        script = (
            f"cat > /tmp/{path.name} || exit; "
            f"nohup python3 -u /tmp/{path.name} {words} > /tmp/{path.name}.log 2>&1 < /dev/null &"
        )
        with path.open("rb") as file:
            command = ["ssh", "-F", config, "board", script]
            subprocess.run(command, stdin=file, capture_output=True, timeout=60.0, check=True)

    def kill(self) -> None:
        """Pulls the plug."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> None:
        """Waits until its sshd answers.

        Raises:
            RuntimeError: qemu ended, or it took too long.
        """
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if _answers(self.ssh_port):
                return
            time.sleep(0.2)
        console = (self.folder / "console").read_text(errors="replace")
        self.kill()
        raise RuntimeError(f"The virtual board did not boot: {console[-2000:]}")

    def _command(self) -> list[str]:
        forward = ",".join(
            f"hostfwd=tcp:127.0.0.1:{here}-:{there}"
            for here, there in ((self.ssh_port, 22), (self.adb_port, 5555))
        )
        return [
            # With the process that started it qemu ends too, however that one ended.
            *("setpriv", "--pdeathsig", "KILL"),
            *("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a76", "-smp", "1"),
            *("-m", "1500", "-icount", "shift=0", "-nographic", "-no-reboot"),
            *("-kernel", str(BOARD / "vmlinuz"), "-initrd", str(BOARD / "initrd")),
            *("-append", "console=ttyAMA0 quiet panic=-1 nokaslr norandmaps"),
            *("-netdev", f"user,id=net,restrict=on,{forward}"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
        ]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    """Whether an sshd greets at that port; qemu itself takes connections from the start."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
