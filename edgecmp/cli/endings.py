"""What a failed command says: one sentence for what the user can mend, a traceback for a bug."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import traceback
from importlib import metadata

from edgecmp.errors import UserError
from edgecmp.printable import printable
from edgecmp.storage.temporary import unwritable
from edgecmp.version import __version__

__all__ = ["BUG", "PIPE_CLOSED", "USER_ERROR", "fail", "failed"]

USER_ERROR = 2
BUG = 70
"""Neither a failed check nor a user's mistake, so that scripts do not take it for one."""
PIPE_CLOSED = 128 + 13
"""What a shell reports for a program that SIGPIPE ended, as it ends `cat FILE | head`."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SURROUNDINGS = {
    errno.EROFS: "Name another path.",
    errno.EACCES: "Name a path that you are allowed to use.",
    errno.EPERM: "Name a path that you are allowed to use.",
    errno.ENAMETOOLONG: "Use a shorter name.",
    errno.ELOOP: "Remove the link that points to itself, or name another path.",
    errno.ENOTDIR: "Check that the path is right.",
    errno.EISDIR: "Check that the path is right.",
    errno.ENOENT: "Check that the path is right.",
    errno.EIO: "Check the disk or the network drive, then rerun the command.",
    errno.ESTALE: "Connect the network drive again, then rerun the command.",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n 4096`), then rerun the command.",
    errno.ENFILE: "Close other programs, then rerun the command.",
}
"""Errors that come from the user's files and machine, and what to do about each."""

EXTRAS = ("export", "heic", "parquet", "pareto")
"""Of edgecmp, for its users."""

NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|bad_alloc", re.I)
"""What torch, ONNX Runtime and faiss raise a RuntimeError with."""


def fail(message: str) -> int:
    """Prints an error and returns the exit code of a user's mistake."""
    print(f"error: {printable(message)}", file=sys.stderr)
    return USER_ERROR


def failed(error: Exception) -> int:
    """Says why a command failed and returns its exit code.

    Args:
        error: what the command raised, and is being handled.
    """
    if isinstance(error, UserError):
        return fail(str(error))
    if isinstance(error, BrokenPipeError):
        return _pipe_closed()
    if isinstance(error, OSError):
        return _system(error)
    if isinstance(error, MemoryError) or NO_MEMORY.search(str(error)):
        return fail(
            "The memory of this machine is not enough. Close other programs, or give the command "
            "less to do at once: smaller images, a smaller batch size, or fewer --jobs."
        )
    if isinstance(error, UnicodeEncodeError):
        return fail(
            f"The name {error.object!r} contains bytes that are not UTF-8. Rename the file or "
            "folder, then rerun the command."
        )
    if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
        return fail(
            "A process that reads images was terminated, probably because memory ran out. Close "
            "other programs, then rerun the command."
        )
    if isinstance(error, ModuleNotFoundError) and (extra := _extra_of(error)):
        return fail(
            f"This needs the package {error.name}, which is not installed. Install it with `pip "
            f"install 'edgecmp[{extra}]'`."
        )
    return _bug()


def _extra_of(error: ModuleNotFoundError) -> str | None:
    """The extra of edgecmp that installs what is missing; None if none does."""
    missing = str(error.name).partition(".")[0]
    try:
        requirements = metadata.requires("edgecmp") or []
    except metadata.PackageNotFoundError:
        return None
    for requirement in requirements:
        found = re.match(r"([\w.-]+).*\bextra == [\"'](\w+)[\"']", requirement)
        if found and found[1].replace("-", "_") == missing and found[2] in EXTRAS:
            return found[2]
    return None


def _system(error: OSError) -> int:
    """An error of the operating system: the user's, unless edgecmp caused it."""
    named = isinstance(error.filename, str | bytes)
    where = f"{os.fsdecode(error.filename)}: " if named else ""
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError as none:
        return fail(str(unwritable(none)))
    if error.errno in FULL and where and not where.startswith(f"{temporary}{os.sep}"):
        return fail(
            f"{where}{os.strerror(error.errno)}. Free some disk space or name another path, then "
            "rerun the command."
        )
    if error.errno in FULL:
        return fail(
            f"{os.strerror(error.errno)}, where the output goes or in {temporary}, the folder for "
            "temporary files. Free some disk space, or set TMPDIR to another folder, then rerun "
            "the command."
        )
    if error.errno in SURROUNDINGS and (where or error.errno != errno.ENOENT):
        return fail(f"{where}{os.strerror(error.errno)}. {SURROUNDINGS[error.errno]}")
    return _bug()


def _pipe_closed() -> int:
    """Ends quietly, as other programs do, when what reads the output has ended."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())  # so that Python's last flush does not fail
    os.close(nowhere)
    return PIPE_CLOSED


def _bug() -> int:
    traceback.print_exc()
    print(
        f"error: This is a bug in edgecmp {__version__}. Please report it with the lines above.",
        file=sys.stderr,
    )
    return BUG
