"""Makes the virtual arm64 board of the device tests, in `.testbeds/` of this clone.

Run by `make testbeds`. An up-to-date board is kept. Only the installation of missing Debian tools
needs root; any user can make the board and boot it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.testbeds.recipe import (
    BOARD,
    MODULES,
    PACKAGES,
    ROOT,
    SUITE,
    TOOLS,
    WHEELS,
    missing,
    recipe_hash,
)

__all__ = ["main"]

DROPPED = (
    *("usr/share/", "usr/lib/linux-image", "lib/modules/", "boot/", "dev/", "lib/udev/"),
    *("usr/lib/aarch64-linux-gnu/perl", "usr/bin/perl", "etc/ssh/moduli", "usr/lib/klibc"),
    *("usr/lib/aarch64-linux-gnu/libperl", "usr/lib/python3.11/test", "var/lib/dpkg/"),
)
"""Prefixes of the paths that are left out of the board."""

SITE = "usr/lib/python3/dist-packages"
SSHD_CONFIG = """\
HostKey /etc/ssh/host_key
PasswordAuthentication no
UsePAM no
UseDNS no
StrictModes no
Subsystem sftp internal-sftp
"""
PASSWD = """\
root:x:0:0:root:/root:/bin/sh
sshd:x:100:65534:sshd:/run/sshd:/usr/sbin/nologin
"""


class SetUpError(Exception):
    """The board cannot be made; the message says why and what to do."""


def say(text: str) -> None:
    """Prints one line of progress."""
    print(text, flush=True)


def run(command: Sequence[str | Path], *, folder: Path = ROOT) -> str:
    """Runs a command and returns its output; an error contains the last lines that it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise SetUpError("\n".join([f"`{words[0]}` failed (exit code {done.returncode}):", *lines]))
    return done.stdout


def install_tools() -> None:
    """Installs the Debian packages whose programs are missing, as root."""
    packages = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    if not packages:
        return
    command = f"apt-get install --no-install-recommends --yes {' '.join(packages)}"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SetUpError(
            f"These Debian packages are missing: {', '.join(packages)}. Run this as root: apt-get "
            f"update && {command}; then run `make testbeds` again."
        )
    say(f"Installing {', '.join(packages)} with apt-get.")
    run(["apt-get", "update", "-q"])
    run(["env", "DEBIAN_FRONTEND=noninteractive", *command.split()])


def apt_sources() -> list[str]:
    """This machine's apt sources of the Debian release; if empty, mmdebstrap uses its default."""
    if os.geteuid() == 0 and not run(["apt-get", "indextargets"]).strip():
        run(["apt-get", "update", "-q"])
    form = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    lines = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).splitlines()
    found = [line.split() for line in sorted(set(lines)) if line.startswith("Debian ")]
    return [f"deb {' '.join(words)}" for _, *words in found if words[1].split("-")[0] == SUITE]


def bootstrap(tar: Path) -> None:
    """Downloads the arm64 packages and unpacks them, unconfigured, into a tar file."""
    settings = tar.with_name("apt.conf")
    dump = run(["apt-config", "dump"]).splitlines()
    settings.write_text("\n".join(line for line in dump if line.startswith("Acquire::")) + "\n")
    command: list[str | Path] = [
        *("mmdebstrap", "--variant=extract", "--mode=chrootless", "--architectures=arm64"),
        *(f"--include={','.join(PACKAGES)}", f"--aptopt={settings}"),
        *("--dpkgopt=path-exclude=/usr/share/*", "--dpkgopt=path-exclude=/lib/udev/*"),
        *(SUITE, str(tar), *apt_sources()),
    ]
    run(command, folder=tar.parent)


class Cpio:
    """Writes a file system in the format that the kernel unpacks at boot ("newc")."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._names: set[str] = set()

    def add(self, name: str, mode: int, data: bytes = b"") -> None:
        """Adds a file, link or folder, and its parent folders."""
        if name in self._names:
            return
        parent = name.rpartition("/")[0]
        if parent:
            self.add(parent, 0o040755)
        self._names.add(name)
        self._write(name, mode, data)

    def _write(self, name: str, mode: int, data: bytes = b"") -> None:
        number, links = len(self._names), 1
        fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        for part in (head, data):
            self._file.write(part + b"\0" * (-len(part) % 4))

    def close(self) -> None:
        """Writes the end mark."""
        self._write("TRAILER!!!", 0)
        self._file.close()


def packed_files(tar: tarfile.TarFile) -> Iterator[tuple[str, int, bytes]]:
    """The files of the packages, without `DROPPED`: name, mode, content."""
    for member in tar:
        name = member.name.removeprefix("./").rstrip("/")
        if not name or name == "." or name.startswith(DROPPED):
            continue
        if member.issym():
            yield name, 0o120777, member.linkname.encode()
        elif member.isdir():
            yield name, 0o040000 | member.mode, b""
        elif member.isfile() or member.islnk():
            file = tar.extractfile(member)
            assert file is not None
            yield name, 0o100000 | member.mode, file.read()


def wheel_files(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """The files of the aarch64 wheels, at the paths where Debian's Python finds them."""
    wanted = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (34, 28, 17)]
    run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, "--no-deps"),
            *("--only-binary=:all:", "--python-version=3.11", *wanted),
            *("--platform=manylinux2014_aarch64", *WHEELS),
        ]
    )
    for path in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(path) as wheel:
            for info in wheel.infolist():
                if not info.is_dir() and "/tests/" not in info.filename:
                    mode = 0o100000 | (info.external_attr >> 16 & 0o777 or 0o644)
                    yield f"{SITE}/{info.filename}", mode, wheel.read(info)


def own_files(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """The board's first process, its users, its sshd and its keys."""
    yield "init", 0o100755, (ROOT / "tests" / "testbeds" / "init.py").read_bytes()
    yield "etc/passwd", 0o100644, PASSWD.encode()
    yield "etc/ssh/sshd_config", 0o100644, SSHD_CONFIG.encode()
    yield "etc/ssh/host_key", 0o100600, (folder / "host_key").read_bytes()
    yield "root", 0o040700, b""
    yield "root/.ssh/authorized_keys", 0o100600, (folder / "key.pub").read_bytes()
    for applet in ("awk", "grep", "ip", "kill", "mount", "ps", "pkill", "sed", "umount", "vi"):
        yield f"bin/{applet}", 0o120777, b"busybox"
    yield "bin/sh", 0o120777, b"dash"


def make_keys(folder: Path) -> None:
    """Makes the key of the host, a key that the board accepts and one that it refuses."""
    for name in ("host_key", "key", "stranger"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name])


def make_board(folder: Path) -> None:
    """Makes the board in `folder`, which is empty."""
    with tempfile.TemporaryDirectory(prefix="edgecmp-board-") as name:
        work = Path(name)
        say(f"Downloading {len(PACKAGES)} arm64 packages of Debian {SUITE} and their dependencies.")
        bootstrap(work / "board.tar")
        make_keys(folder)
        cpio = Cpio(folder / "initrd")
        for file in own_files(folder):
            cpio.add(*file)
        with tarfile.open(work / "board.tar") as tar:
            for member in tar:
                path = Path(member.name)
                if path.name.startswith("vmlinuz-"):
                    kernel = tar.extractfile(member)
                    assert kernel is not None
                    (folder / "vmlinuz").write_bytes(kernel.read())
                elif path.suffix == ".ko" and path.stem.replace("-", "_") in MODULES:
                    module = tar.extractfile(member)
                    assert module is not None
                    cpio.add(f"modules/{path.name}", 0o100644, module.read())
            cpio.add("modules/order", 0o100644, "\n".join(MODULES).encode())
            for file in packed_files(tar):
                cpio.add(*file)
        say(f"Downloading the aarch64 wheels of {' and '.join(WHEELS)}.")
        for file in wheel_files(work / "wheels"):
            cpio.add(*file)
        cpio.close()


def main() -> None:
    """Installs the tools, makes the board if it is missing or outdated, and prints its cost."""
    start = time.monotonic()
    try:
        install_tools()
        if not missing():
            say(f"The virtual board in {BOARD.relative_to(ROOT)} is up to date.")
            return
        shutil.rmtree(BOARD, ignore_errors=True)
        BOARD.mkdir(parents=True)
        make_board(BOARD)
    except SetUpError as error:
        sys.exit(f"error: {error}")
    (BOARD / "stamp").write_text(recipe_hash())
    size = sum(path.stat().st_size for path in BOARD.iterdir()) / 1e6
    say(
        f"The virtual arm64 board is in {BOARD.relative_to(ROOT)}: {size:.0f} MB, "
        f"{time.monotonic() - start:.0f} s."
    )


if __name__ == "__main__":
    main()
