"""What the virtual board is made of, and where it lies once `make testbeds` has made it."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["BOARD", "MODULES", "PACKAGES", "SUITE", "TOOLS", "WHEELS", "missing", "recipe_hash"]

ROOT = Path(__file__).resolve().parents[2]
BOARD = ROOT / ".testbeds" / "board"
"""The folder with the kernel, the file system, the keys and the stamp."""

TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "mmdebstrap": "mmdebstrap",
    "adb": "adb",
    "ssh": "openssh-client",
}
"""The programs that are needed on this machine, each with its Debian package."""

SUITE = "bookworm"
"""The Debian release of the board: its Python is 3.11, which tflite-runtime 2.14 needs."""

PACKAGES = (
    *("linux-image-cloud-arm64", "dash", "coreutils", "busybox"),
    *("openssh-server", "python3", "libpython3-stdlib", "libstdc++6"),
)
WHEELS = ("tflite-runtime==2.14.0", "numpy==1.26.4")
MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net"),
)
"""Kernel modules of the network card, in the order in which they are loaded."""

SOURCES = (
    ROOT / "scripts" / "testbeds.py",
    ROOT / "tests" / "testbeds" / "recipe.py",
    ROOT / "tests" / "testbeds" / "init.py",
)


def recipe_hash() -> str:
    """Changes with everything that decides what `make testbeds` makes."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()


def missing() -> str:
    """Why there is no board to boot, as one sentence; empty where there is one."""
    stamp = BOARD / "stamp"
    if not stamp.exists():
        return "The virtual arm64 board is not set up: run `make testbeds`."
    if stamp.read_text() != recipe_hash():
        return "The virtual arm64 board is older than its recipe: run `make testbeds`."
    return ""
