"""LineFile: a file that grows line by line, from which interrupted work resumes.

Its first line says what the work is. One process at a time has it open. A line that was cut off by
a full disk, a kill or a power cut is dropped, so that the file always consists of whole lines.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecmp.errors import UserError, system_reason
from edgecmp.storage import disk_errors

__all__ = ["LineFile"]


class LineFile:
    """An open file of lines; `LineFile.opened` locks and closes it.

    Attributes:
        path: the file.
        lines: the lines that it had when it was opened, without their line breaks.
    """

    def __init__(self, file: io.FileIO, path: Path, what: str) -> None:
        self.path = path
        self._file = file
        self._what = what
        *whole, rest = file.read().split(b"\n")
        self.lines = whole
        self._rest = rest
        self._size = sum(len(line) + 1 for line in whole)

    @classmethod
    @contextmanager
    def opened(cls, path: Path, first: bytes, *, what: str) -> Iterator[LineFile]:
        """Opens a file of lines to continue it, or starts one.

        Args:
            path: the file.
            first: the first line of a new file, without a line break.
            what: the work, for errors: "search".

        Raises:
            UserError: the file cannot be opened, or another process has it open.
        """
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _locked(path, what)
        with file:
            lines = cls(file, path, what)
            lines._start(first)
            yield lines

    def append(self, line: bytes, *, sync: bool) -> None:
        """Adds one line. After an error, the file is as it was.

        Args:
            line: without a line break.
            sync: wait until it is on the disk, so that not even a power cut loses it.

        Raises:
            UserError: the file cannot be written, for example because the disk is full.
        """
        content = line + b"\n"
        try:
            if (self._file.write(content) or 0) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._cut()
            raise UserError(
                f"The {self._what} stopped: {self.path} cannot be written "
                f"({system_reason(error)}).",
                "Fix the cause (free some disk space), then rerun the command to resume the "
                f"{self._what}.",
            ) from error
        self._size += len(content)

    def remove(self) -> None:
        """Removes the file: the work is done, and its result is written."""
        self.path.unlink(missing_ok=True)

    def _start(self, first: bytes) -> None:
        """Drops a line that was cut off, and writes the first line of a new file."""
        if self.lines:
            if self._rest:
                self._cut()
        elif (first + b"\n").startswith(self._rest):
            self._cut()
            try:
                self.append(first, sync=True)
            except UserError:
                self.remove()
                raise
            self.lines = [first]
        else:  # not a file of ours; its owner says so
            self.lines = [self._rest]

    def _cut(self) -> None:
        """Ends the file after its last whole line."""
        self._file.truncate(self._size)
        self._file.seek(self._size)


def _locked(path: Path, what: str) -> io.FileIO:
    """The file, made if it does not exist, unbuffered, so that each line is written at once."""
    while True:
        file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise UserError(
                f"Another {what} is writing {path}.",
                "Wait until it ends, or choose another --out.",
            ) from None
        except OSError:
            pass  # a file system without locks
        with suppress(FileNotFoundError):  # removed by the process that had it open
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        file.close()
