"""Finished pieces of long work, kept in a folder until the result is written.

    DIR/settings.json      what the pieces depend on
    DIR/pieces/NAME        a finished piece
    DIR/NAME.sha256        its hash, written after it

A piece that is incomplete or was changed counts as missing and is made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import json_bytes, read_json
from edgecmp.storage import disk_errors, folder_lock, write_atomic

__all__ = ["Unfinished"]


class Unfinished:
    """The pieces of one piece of work; `Unfinished.opened` locks and removes them.

    Attributes:
        pieces: the folder that contains the pieces alone.
    """

    def __init__(self, folder: Path, result: Path) -> None:
        self._folder = folder
        self._result = result
        self.pieces = folder / "pieces"

    @classmethod
    @contextmanager
    def opened(
        cls, folder: Path, settings: Mapping[str, Any], *, what: str, result: Path
    ) -> Iterator[Unfinished]:
        """Opens the pieces of an earlier, interrupted run, or starts anew.

        The folder is removed at the end; after an error only if no piece is finished.

        Args:
            folder: of the pieces.
            settings: everything that the pieces depend on, as JSON values.
            what: what is made, for errors: "gallery index".
            result: the path that the user asked for.

        Raises:
            UserError: the pieces belong to other settings, or another process has them open.
        """
        with folder_lock(folder, f"process that makes a {what}", named=result):
            work = cls(folder, result)
            try:
                with disk_errors(result):
                    work._check(json.loads(json.dumps(dict(settings))), what)
                yield work
            except BaseException:
                if not len(work):
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            shutil.rmtree(folder, ignore_errors=True)

    def __len__(self) -> int:
        """The number of finished pieces."""
        return len(list(self._folder.glob("*.sha256")))

    def get(self, name: str) -> bytes | None:
        """A finished piece; None if there is none, or if it was changed."""
        try:
            content = (self.pieces / name).read_bytes()
            expected = self._hash_file(name).read_bytes()
        except FileNotFoundError:
            return None
        return content if _hash(content) == expected else None

    def put(self, name: str, content: bytes) -> None:
        """Keeps a finished piece.

        Raises:
            UserError: it cannot be written.
        """
        self.write(self.pieces / name, content)
        self.write(self._hash_file(name), _hash(content))

    def write(self, path: Path, content: bytes) -> None:
        """Writes a file in the folder that is made again by each run; errors name the result.

        Raises:
            UserError: it cannot be written.
        """
        try:
            write_atomic(path, content)
        except UserError as error:
            what = error.what.replace(str(path), str(self._result))
            raise UserError(what, error.way_out) from error

    def discard(self) -> None:
        """Removes all pieces: no result can be made of them.

        Raises:
            UserError: one of them cannot be removed.
        """
        with disk_errors(self._result):
            for file in [*self._folder.glob("*.sha256"), *self.pieces.glob("*")]:
                file.unlink()

    def _hash_file(self, name: str) -> Path:
        return self._folder / f"{name}.sha256"

    def _check(self, settings: dict[str, Any], what: str) -> None:
        """Refuses pieces of other settings; the message names what differs."""
        path = self._folder / "settings.json"
        if not (len(self) and path.exists()):  # nothing yet, or a removal that was interrupted
            self.discard()
            self.pieces.mkdir(exist_ok=True)
            self.write(path, json_bytes(settings))
            return
        before = read_json(path, what="the settings of an interrupted run")
        names = sorted(before.keys() | settings.keys())
        differing = [name for name in names if before.get(name) != settings.get(name)]
        if differing:
            shown = ", ".join(
                f"{name} was {json.dumps(before.get(name))}, now {json.dumps(settings.get(name))}"
                for name in differing[:3]
            )
            raise UserError(
                f"An interrupted run has left an unfinished {what} of other settings for "
                f"{self._result} ({shown}).",
                f"Choose another --out, or delete {self._folder} to start over.",
            )


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
