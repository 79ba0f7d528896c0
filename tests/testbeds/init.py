#!/usr/bin/python3
"""The first process of the virtual board: mounts, network, sshd. It runs there, not here."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import time
from pathlib import Path

__all__: list[str] = []

FINIT_MODULE = 273  # arm64's number of the system call
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
IFF_UP = 1
MOUNTS = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("tmpfs", "/tmp"),
)

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Stops the boot with a reason on the console; the kernel then panics and qemu ends."""
    if result:
        raise SystemExit(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount() -> None:
    """The file systems that programs expect."""
    for kind, place in MOUNTS:
        Path(place).mkdir(exist_ok=True)
        check(libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None), place)
    Path("/tmp").chmod(0o1777)


def load_modules() -> None:
    """The network card's modules, in their order."""
    for name in Path("/modules/order").read_text().split():
        handle = os.open(f"/modules/{name}.ko", os.O_RDONLY)
        check(libc.syscall(FINIT_MODULE, handle, b"", 0), name)
        os.close(handle)


def set_address(control: socket.socket, card: str, request: int, address: str) -> None:
    """Sets an address or a net mask of a card."""
    packed = struct.pack("<HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
    fcntl.ioctl(control, request, struct.pack("16s", card.encode()) + packed)


def switch_on(control: socket.socket, card: str) -> None:
    """Brings a card up."""
    answer = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16s24x", card.encode()))
    flags = struct.unpack_from("<16sH", answer)[1] | IFF_UP
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("<16sH22x", card.encode(), flags))


def network() -> None:
    """The card with the address that qemu forwards ports to."""
    cards: list[str] = []
    while not cards:
        cards = [name for name in os.listdir("/sys/class/net") if name != "lo"]  # noqa: PTH208
        time.sleep(0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        switch_on(control, "lo")
        set_address(control, cards[0], SIOCSIFADDR, "10.0.2.15")
        set_address(control, cards[0], SIOCSIFNETMASK, "255.255.255.0")
        switch_on(control, cards[0])


def main() -> None:
    """Boots, starts sshd, then buries processes whose parents are gone."""
    os.environ["PATH"] = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    mount()
    load_modules()
    network()
    Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    os.spawnv(os.P_NOWAIT, "/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-e"])
    print("board: up", flush=True)
    while True:
        os.wait()


if __name__ == "__main__":
    main()
