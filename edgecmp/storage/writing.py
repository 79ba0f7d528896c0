"""Puts files and folders on disk so that nothing earlier is lost: staged, synced, then renamed.

Temporary files and folders lie beside what they replace and are locked while their process lives,
so that the next write of the same path removes those that a killed process left behind.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecmp.errors import UserError
from edgecmp.storage.checking import disk_errors
from edgecmp.storage.locking import is_at

__all__ = ["replacing_folder", "temporary_folder", "write_atomic", "write_folder"]

_MARK = ".part"
_LONGEST_NAME = 200
"""Bytes of a file's name that its temporary's name repeats; file systems allow 255 in all."""


def write_atomic(path: str | Path, data: bytes) -> Path:
    """Writes `data` to `path` atomically: a reader sees the old file or the complete new one.

    A link is followed, and a device or pipe such as /dev/stdout is written to, not replaced.

    Raises:
        UserError: the disk is full or the path cannot be written; an old file is unchanged.
    """
    path = Path(path)
    with disk_errors(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as device:
                device.write(data)
            return path
        place = path.resolve() if path.is_symlink() else path
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(place.parent, place.name)
        handle, temporary = _locked_file(place)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_names(place.parent)
    return path


def write_folder(folder: str | Path, files: Mapping[str, bytes | Callable[[Path], object]]) -> Path:
    """Writes several files of one artefact: all are complete on the disk before one is replaced.

    Other files in the folder are left alone.

    Args:
        folder: is made if it does not exist.
        files: by name, in the order of the renames (the manifest last): the content, or a function
            that writes the file at the path that it is given.

    Raises:
        UserError: the disk is full or the folder cannot be written; all old files are unchanged.
    """
    folder = Path(folder)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder, "files") as staging, _named(staging, folder):
            new, before = staging / "new", staging / "before"
            new.mkdir()
            before.mkdir()
            for name, content in files.items():
                if callable(content):
                    content(new / name)
                else:
                    (new / name).write_bytes(content)
                _sync(new / name)
                (new / name).chmod(0o644)
            try:
                for name in files:
                    _keep(folder / name, before / name)
                    (new / name).replace(folder / name)
            except BaseException:  # old and new files must not be left side by side
                for name in files:
                    if (new / name).exists():
                        continue
                    if (before / name).exists():
                        (before / name).replace(folder / name)
                    else:
                        (folder / name).unlink(missing_ok=True)
                raise
        _sync_names(folder)
    return folder


def _keep(file: Path, copy: Path) -> None:
    """Gives a file that is about to be replaced a second name, if there is such a file."""
    if not file.exists():
        return
    try:
        os.link(file, copy)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, copy)


@contextmanager
def _named(temporary: Path, final: Path) -> Iterator[None]:
    """Lets errors name the path that the user gave instead of a temporary one."""
    try:
        yield
    except UserError as error:
        given = (f"{temporary}{os.sep}new", str(final))
        if given[0] not in str(error):
            raise
        raise UserError(error.what.replace(*given), error.way_out.replace(*given)) from error


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """A new temporary folder; when the context ends without an error, it takes the place of `path`.

    An existing folder is exchanged with the new one in one step where the system can do so, and
    then removed. After an error, `path` is as it was.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    with disk_errors(path):
        place = path.resolve() if path.is_symlink() else path
        place.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(place.parent, place.name) as outer, _named(outer, path):
            new, before = outer / "new", outer / "before"
            new.mkdir()
            yield new
            for file in new.rglob("*"):
                if file.is_file():
                    _sync(file)
            new.chmod(0o755)
            if not place.exists():
                new.rename(place)
            elif not _exchange(new, place):
                try:
                    place.rename(before)
                    new.rename(place)
                except BaseException:
                    if before.exists():
                        before.rename(place)
                    raise
        _sync_names(place.parent)


@contextmanager
def temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    """A locked temporary folder in `parent` for what will be called `name`; removed at the end."""
    _remove_stale(parent, name)
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=_prefix(name), suffix=_MARK))
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        if _lock(handle, folder):
            break
        os.close(handle)
    try:
        yield folder
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException:  # a signal
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            os.close(handle)


def _locked_file(path: Path) -> tuple[int, Path]:
    """A new, locked temporary file beside `path`, and its descriptor."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path.name), suffix=_MARK)
        if _lock(handle, Path(name)):
            return handle, Path(name)
        os.close(handle)


def _lock(handle: int, path: Path) -> bool:
    """Locks a new temporary; False if another process took it for a stale one meanwhile."""
    with suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    return is_at(handle, path)


def _prefix(name: str) -> str:
    """The start of the names of a file's temporaries."""
    return f".{os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])}."


def _remove_stale(parent: Path, name: str) -> None:
    """Removes the temporaries of processes that were killed while they wrote `name`."""
    try:
        found = [
            entry.path
            for entry in os.scandir(parent)
            if entry.name.startswith(_prefix(name)) and entry.name.endswith(_MARK)
        ]
    except OSError:
        return
    for place in found:
        with suppress(OSError):
            handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISDIR(os.fstat(handle).st_mode):
                    shutil.rmtree(place, ignore_errors=True)
                else:
                    Path(place).unlink()
            finally:
                os.close(handle)


def _sync_names(folder: Path) -> None:
    """Waits until the new names in a folder are on the disk.

    An error is no failure: the files are complete and in their places.
    """
    with suppress(OSError):
        _sync(folder)


def _sync(path: Path) -> None:
    """Waits until a file or the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a system that cannot sync folders
            raise
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two paths in one step; False if the system or the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            return bool(libc.renamex_np(first, second, 2) == 0)  # RENAME_SWAP
        here = -100  # AT_FDCWD
        return bool(libc.renameat2(here, first, here, second, 2) == 0)  # RENAME_EXCHANGE
    except AttributeError:
        return False
