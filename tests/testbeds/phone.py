"""A phone for tests: our adb daemon on this machine, and an adb client that sees nothing else."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbeds.adbd import AdbDaemon

__all__ = ["ABI", "PROPERTIES", "TOOLS", "adb", "client", "device_name", "only_tools", "phone"]

ABI = {"aarch64": "arm64-v8a"}.get(platform.machine(), platform.machine())
"""Of this machine, as Android calls it."""

PROPERTIES = {
    "ro.product.manufacturer": "Testbed",
    "ro.product.model": "Phone 1",
    "ro.soc.manufacturer": "QTI",
    "ro.soc.model": "SM8550",
    "ro.product.cpu.abi": ABI,
    "ro.product.cpu.abilist": ABI,
    "ro.build.version.release": "14",
}

TOOLS = ("sh", "cat", "chmod", "grep", "ls", "mkdir", "rm", "sed", "taskset", "uname", "wc")
"""Commands of an Android shell that are used; Python is none of them."""


@contextmanager
def client(home: Path) -> Iterator[dict[str, str]]:
    """Environment variables of an adb client of its own: port, keys, no search for emulators."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    variables = {
        "HOME": str(home),
        "ANDROID_ADB_SERVER_PORT": str(port),
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
    }
    try:
        yield variables
    finally:
        subprocess.run(
            ["adb", "kill-server"],
            env={**os.environ, **variables},
            capture_output=True,
            check=False,
        )


@contextmanager
def phone(folder: Path, *, shell_v2: bool = True, path: str | None = None) -> Iterator[AdbDaemon]:
    """A phone whose shell is this machine's, with `PROPERTIES`."""
    place = path or os.environ["PATH"]
    daemon = AdbDaemon(folder=folder, properties=PROPERTIES, shell_v2=shell_v2, path=place)
    try:
        yield daemon
    finally:
        daemon.vanish()


def device_name(daemon: AdbDaemon, **options: str) -> str:
    """What `--device` calls it: with this Python, unless options name another or a program."""
    chosen = options or {"python": sys.executable}
    return f"adb:{daemon.serial}?" + "&".join(f"{key}={text}" for key, text in chosen.items())


def only_tools(folder: Path) -> str:
    """A PATH that holds `TOOLS` alone: that of a phone without Python."""
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return str(folder)


def adb(*arguments: str) -> str:
    """What the real client prints."""
    command = ["adb", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    return done.stdout.decode()
