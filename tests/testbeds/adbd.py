"""A small adb daemon: the device's end of adb, for the real adb client, with faults on request.

It speaks adb's protocol over TCP: CNXN, AUTH, OPEN, OKAY, WRTE, CLSE; the services `shell` (with
shell_v2: stderr apart and an exit code; without: one stream through a terminal and no exit code),
`exec` and `sync` (STAT, SEND, RECV, LIST). Commands run in this machine's sh, or in that of the
board it runs on. It needs nothing but Python's standard library, so it can be copied to a board:

    python3 adbd.py --port 5555 --folder /tmp/phone ro.product.model=Board
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import signal
import socket
import stat
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

__all__ = ["AdbDaemon", "Faults"]

CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little")
    for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
VERSION, MOST_BYTES = 0x01000001, 256 * 1024
TOKEN = 1
STDOUT, STDERR, EXIT = 1, 2, 3
"""Kinds of packets of shell_v2."""

BLOCK = 64 * 1024
FULL = b"No space left on device"


@dataclass(kw_only=True)
class Faults:
    """What goes wrong, from now on; each is off as long as it is None or False.

    Attributes:
        unauthorized: no key is ever accepted.
        mute: connections are accepted and never answered.
        garbage: connections are answered with bytes that are no protocol.
        lose: (text, lines): after so many lines and 9 bytes of what the first command with that
            text in it writes, the device is gone: see `AdbDaemon.restore`.
        cut: the same, but the output ends there as if all were well.
        hang: commands with that text never begin.
        lose_push: the device is gone after so many bytes of files.
        room: so many bytes can still be written.
    """

    unauthorized: bool = False
    mute: bool = False
    garbage: bool = False
    lose: tuple[str, int] | None = None
    cut: tuple[str, int] | None = None
    hang: str | None = None
    lose_push: int | None = None
    room: int | None = None


@dataclass(kw_only=True)
class AdbDaemon:
    """The daemon, in threads of this process.

    Attributes:
        folder: TMPDIR of its commands, as adbd sets it; a folder `bin` in it comes first in PATH
            and holds `getprop`.
        port: of 127.0.0.1 (or `host`); 0 takes a free one.
        properties: what `getprop` answers.
        shell_v2: False for a device older than Android 7.
        path: PATH of the commands, behind `bin`.
        faults: see there.
        commands: what was run so far.
    """

    folder: Path
    port: int = 0
    host: str = "127.0.0.1"
    properties: dict[str, str] = field(default_factory=dict)
    shell_v2: bool = True
    path: str = field(default_factory=lambda: os.environ.get("PATH", "/usr/bin:/bin"))
    faults: Faults = field(default_factory=Faults)
    commands: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Writes `getprop` and starts listening."""
        tools = self.folder / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        cases = "".join(f"  {name}) echo '{text}';;\n" for name, text in self.properties.items())
        (tools / "getprop").write_text(f'#!/bin/sh\ncase "$1" in\n{cases}  *) echo;;\nesac\n')
        (tools / "getprop").chmod(0o755)
        self.environment = {
            **{key: text for key, text in os.environ.items() if not key.startswith("ADB_")},
            "TMPDIR": str(self.folder),
            "PATH": f"{tools}:{self.path}",
        }
        self._links: set[_Link] = set()
        self._server: socket.socket | None = None
        self.restore()

    @property
    def serial(self) -> str:
        """Under which the client knows it."""
        return f"127.0.0.1:{self.port}"

    def restore(self) -> None:
        """Listens (again) on the port, with no faults."""
        self.faults = Faults()
        if self._server is None:
            self._server = socket.create_server((self.host, self.port))
            self.port = self._server.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def vanish(self) -> None:
        """Is gone: every connection breaks, no new one is accepted."""
        server, self._server = self._server, None
        if server is not None:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        for link in list(self._links):
            link.end()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            link = _Link(self, connection)
            self._links.add(link)
            threading.Thread(target=link.serve, daemon=True).start()


class _Link:
    """One connection of a client, with its streams."""

    def __init__(self, daemon: AdbDaemon, connection: socket.socket) -> None:
        self.daemon = daemon
        self.streams: dict[int, _Stream] = {}
        self._opened = 0
        self._socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sending = threading.Lock()

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        """Sends a packet."""
        check = sum(data) & 0xFFFFFFFF
        header = struct.pack("<6I", command, first, second, len(data), check, command ^ 0xFFFFFFFF)
        with self._sending:
            self._socket.sendall(header + data)

    def end(self) -> None:
        """Breaks the connection."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for stream in list(self.streams.values()):
            stream.close()

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise OSError("closed")
            data += part
        return bytes(data)

    def serve(self) -> None:
        """Answers packets until the connection ends."""
        try:
            while True:
                command, first, second, length, _, _ = struct.unpack("<6I", self._receive(24))
                self._packet(command, first, second, self._receive(length))
        except OSError:
            pass
        finally:
            self.end()
            self.daemon._links.discard(self)

    def _packet(self, command: int, first: int, second: int, data: bytes) -> None:
        faults = self.daemon.faults
        if faults.mute:
            return
        if faults.garbage:
            self._socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif command in (CNXN, AUTH) and faults.unauthorized:
            self.send(AUTH, TOKEN, 0, bytes(20))
        elif command == CNXN:
            features = "shell_v2" if self.daemon.shell_v2 else ""
            names = {"name": "board", "model": "Test_Phone", "device": "testbed"}
            parts = "".join(f"ro.product.{key}={text};" for key, text in names.items())
            self.send(CNXN, VERSION, MOST_BYTES, f"device::{parts}features={features}".encode())
        elif command == OPEN:
            self._opened += 1
            stream = _Stream(self, self._opened, first)
            self.streams[stream.local] = stream
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=stream.serve, args=(service,), daemon=True).start()
        elif second in self.streams:
            stream = self.streams[second]
            if command == OKAY:
                stream.ready.release()
            elif command == WRTE:
                stream.inbox.put(data)
                self.send(OKAY, second, first)
            elif command == CLSE:
                stream.close()


class _Stream:
    """One service that was opened over a connection."""

    def __init__(self, link: _Link, local: int, remote: int) -> None:
        self.link = link
        self.local, self.remote = local, remote
        self.inbox: queue.Queue[bytes | None] = queue.Queue()
        self.ready = threading.Semaphore(0)
        self.closed = False
        self._buffer = b""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def faults(self) -> Faults:
        """Those of the daemon."""
        return self.link.daemon.faults

    def close(self) -> None:
        """Ends it from the other side: nobody reads on, a running command is ended."""
        self.closed = True
        self.link.streams.pop(self.local, None)
        self.inbox.put(None)
        self.ready.release()
        if self._process is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def write(self, data: bytes) -> None:
        """Sends data, a packet at a time, each answered before the next."""
        for start in range(0, len(data), BLOCK):
            if self.closed:
                raise OSError("closed")
            self.link.send(WRTE, self.local, self.remote, data[start : start + BLOCK])
            self.ready.acquire()

    def read(self, count: int) -> bytes:
        """Waits for exactly so many bytes."""
        while len(self._buffer) < count:
            part = self.inbox.get()
            if part is None:
                raise OSError("closed")
            self._buffer += part
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def serve(self, service: str) -> None:
        """Runs a service such as `shell,v2,raw:ls` to its end."""
        name, _, argument = service.partition(":")
        kind, *flags = name.split(",")
        with contextlib.suppress(OSError):
            if kind in ("shell", "exec", "sync"):
                self.link.send(OKAY, self.local, self.remote)
            if kind == "sync":
                while self._sync():
                    pass
            elif kind in ("shell", "exec"):
                self._run(argument, packets="v2" in flags, terminal=kind == "shell" and not flags)
            if not self.closed:
                self.link.send(CLSE, self.local, self.remote)
        self.link.streams.pop(self.local, None)

    def _run(self, command: str, *, packets: bool, terminal: bool) -> None:
        self.link.daemon.commands.append(command)
        if self.faults.hang and self.faults.hang in command:
            while not self.closed:
                time.sleep(0.05)
            return
        self._process = process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if packets else subprocess.STDOUT,
            env=self.link.daemon.environment,
            start_new_session=True,
        )
        others = []
        if process.stderr is not None:
            others.append(threading.Thread(target=self._copy, args=(process.stderr, STDERR)))
            others[0].start()
        assert process.stdout is not None
        whole = self._watched(command, process.stdout, packets=packets, terminal=terminal)
        for other in others:
            other.join()
        if not whole:
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait() % 256
        if packets:
            self.write(struct.pack("<BIB", EXIT, 1, code if whole else 0))

    def _copy(self, source: IO[bytes], kind: int) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(source.fileno(), BLOCK):
                self.write(struct.pack("<BI", kind, len(data)) + data)

    def _watched(self, command: str, source: IO[bytes], *, packets: bool, terminal: bool) -> bool:
        """Sends what a command prints, until a fault cuts it; whether it was all."""
        lose, cut = self.faults.lose, self.faults.cut
        fault = next((one for one in (lose, cut) if one and one[0] in command), None)
        text = b""
        while data := os.read(source.fileno(), BLOCK):
            sent, text = len(text), text + data
            end = None
            if fault is not None and text.count(b"\n") >= fault[1]:
                lines = text.split(b"\n")
                end = sum(len(line) + 1 for line in lines[: fault[1]]) + 9
                end = end if len(text) >= end else None
            data = text[sent:end]
            data = data.replace(b"\n", b"\r\n") if terminal else data
            self.write(struct.pack("<BI", STDOUT, len(data)) + data if packets else data)
            if end is not None:
                if fault is lose:
                    self.link.daemon.vanish()
                return False
        return True

    def _sync(self) -> bool:
        """Answers one request of the file service; False when it was the last."""
        name, length = struct.unpack("<4sI", self.read(8))
        path = os.fsdecode(self.read(length)) if name != b"QUIT" else ""
        if name == b"STAT":
            self.write(b"STAT" + _entry(path))
        elif name == b"LIST":
            folder = Path(path)
            for child in sorted(folder.iterdir()) if folder.is_dir() else []:
                text = os.fsencode(child.name)
                entry = _entry(str(child)) + struct.pack("<I", len(text))
                self.write(b"DENT" + entry + text)
            self.write(b"DONE" + bytes(16))
        elif name == b"SEND":
            self._receive_file(path)
        elif name == b"RECV":
            self._send_file(path)
        else:
            return False
        return True

    def _receive_file(self, argument: str) -> None:
        path, _, mode = argument.rpartition(",")
        error, written = b"", 0
        try:
            file: IO[bytes] = Path(path).open("wb")  # noqa: SIM115
        except OSError as reason:
            error, file = (reason.strerror or "error").encode(), Path(os.devnull).open("wb")  # noqa: SIM115
        with file:
            while True:
                name, length = struct.unpack("<4sI", self.read(8))
                if name == b"DONE":
                    break
                data = self.read(length)
                written += len(data)
                if self.faults.lose_push is not None and written > self.faults.lose_push:
                    file.write(data[: len(data) // 2])
                    self.link.daemon.vanish()
                    return
                if self.faults.room is not None and written > self.faults.room:
                    error = FULL
                else:
                    file.write(data)
        if error:
            if error is FULL:
                Path(path).unlink()
            self.write(b"FAIL" + struct.pack("<I", len(error)) + error)
        else:
            Path(path).chmod(int(mode) & 0o777)
            self.write(b"OKAY" + bytes(4))

    def _send_file(self, path: str) -> None:
        try:
            data = Path(path).read_bytes()
        except OSError as reason:
            text = (reason.strerror or "error").encode()
            self.write(b"FAIL" + struct.pack("<I", len(text)) + text)
            return
        for start in range(0, len(data), BLOCK // 2):
            part = data[start : start + BLOCK // 2]
            self.write(b"DATA" + struct.pack("<I", len(part)) + part)
        self.write(b"DONE" + bytes(4))


def _entry(path: str) -> bytes:
    """Mode, size and time of a path; zeros if it is not there."""
    try:
        found = Path(path).lstat()
    except OSError:
        return bytes(12)
    mode = found.st_mode if not stat.S_ISLNK(found.st_mode) else Path(path).stat().st_mode
    return struct.pack("<III", mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description="An adb daemon for tests.")
    parser.add_argument("--port", type=int, default=5555)
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/phone"))
    parser.add_argument("properties", nargs="*", metavar="KEY=TEXT", help="answers of getprop")
    options = parser.parse_args()
    properties = dict(pair.split("=", 1) for pair in options.properties)
    daemon = AdbDaemon(
        folder=options.folder, port=options.port, host=options.host, properties=properties
    )
    print(f"listening on {daemon.port}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
