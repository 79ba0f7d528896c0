"""history.jsonl: every candidate of a search, one line each, so that a killed search goes on.

The first line says what search this is. A line is on the disk before the next candidate is
evaluated. Since generations follow from the lines alone, a search that was killed at any moment
and run again ends with the same bytes as one that was not; there are no times in the file.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import provenance, write_atomic
from edgecmp.search.evaluation.candidate import Candidate

__all__ = ["FORMAT", "SHAPE", "History", "candidate_of", "read_header", "read_history"]

FORMAT = "edgecmp-history/1"

SHAPE = ("tier", "embedding_dim", "input_size")
"""Of an evaluator: what makes architectures of a history's genes."""


def read_header(path: Path) -> dict[str, Any] | None:
    """The first line of a history; None if there is no history yet.

    Raises:
        UserError: the file is something else.
    """
    if not path.exists():
        return None
    with path.open("rb") as file:
        first = file.readline()
    try:
        header = json.loads(first)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT or "search" not in header:
        raise _unusable(path, 1, "it is not the header of a search")
    return header


def read_history(path: Path) -> tuple[dict[str, Any], list[Candidate]]:
    """Header and candidates of a history, finished or not, which another process may be writing.

    Raises:
        UserError: there is none, or it was changed or damaged.
    """
    header = read_header(path)
    if header is None:
        raise UserError(f"{path} does not exist.", "Name the folder of a search.")
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    return header, _candidates(path, whole, header["search"])


class History:
    """The candidates of a search: those on file first, then those appended.

    Use `History.opened`, which takes a lock and closes the file.

    Attributes:
        candidates: all that is on file, in the order of evaluation.
    """

    def __init__(self, file: io.FileIO, path: Path, candidates: list[Candidate]) -> None:
        self._file = file
        self._path = path
        self.candidates = candidates

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, search: Mapping[str, Any], shape: Mapping[str, Any] | None = None
    ) -> Iterator[History]:
        """Starts a history, or takes one up where it was left.

        A last line that was not finished is cut off. All other lines must be intact.

        Args:
            path: history.jsonl.
            search: all that decides the candidates and their numbers, as JSON values; its "metric"
                is what the rewards are made of.
            shape: the `SHAPE` of the architectures, for `rerank`.

        Raises:
            UserError: the file belongs to another search, was changed, or is in use.
        """
        header = {
            "format": FORMAT,
            "search": dict(search),
            "shape": dict(shape or {}),
            "provenance": provenance(),
        }
        if not path.exists():
            write_atomic(path, _line(header))
        with _opened(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"Another search is writing {path}.", "Wait for it, or choose another --out."
                ) from None
            _same_search(path, search)
            content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            file.seek(len(whole))
            file.truncate()
            yield cls(file, path, _candidates(path, whole, search))

    def append(self, candidate: Candidate) -> None:
        """Adds one line; when this returns it is on the disk.

        Raises:
            UserError: the disk is full; run the same command again when it is not.
        """
        line = _line(candidate.to_dict())
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise UserError(
                f"The search stopped: {self._path} cannot be written ({reason}).",
                "Mend that (free some space), then run the same command: it goes on from here.",
            ) from error
        self.candidates.append(candidate)

    def changed(self, position: int) -> UserError:
        """The error for a line that the search would not have written."""
        return _unusable(self._path, position + 2, "the search would have put another candidate")


def _opened(path: Path) -> io.FileIO:
    """The file, unbuffered, so that a line that does not fit fails at once and only once."""
    try:
        return path.open("r+b", buffering=0)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(
            f"{path} cannot be opened for writing: {reason}.", "Choose another --out."
        ) from error


def _line(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, separators=(",", ":")) + "\n").encode()


def _same_search(path: Path, search: Mapping[str, Any]) -> None:
    """Refuses the history of another search, naming what differs."""
    header = read_header(path)
    kept = header["search"] if header else {}
    wanted = json.loads(json.dumps(dict(search)))
    names = sorted(wanted.keys() | kept.keys())
    differing = [name for name in names if kept.get(name) != wanted.get(name)]
    if differing:
        shown = "; ".join(
            f"{name} was {json.dumps(kept.get(name))}, now {json.dumps(wanted.get(name))}"
            for name in differing
        )
        raise UserError(
            f"{path} is the history of another search ({shown}).",
            "Choose another --out, or delete that file to start over.",
        )


def _candidates(path: Path, content: bytes, search: Mapping[str, Any]) -> list[Candidate]:
    candidates = []
    for number, line in enumerate(content.splitlines()[1:], start=2):
        try:
            candidates.append(candidate_of(json.loads(line), search))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _unusable(path, number, f"it is not a candidate ({error})") from error
    return candidates


def candidate_of(line: Mapping[str, Any], search: Mapping[str, Any]) -> Candidate:
    """The candidate of a line.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is not such a line.
    """
    budget = search.get("budget")
    sizes = budget.get("input_sizes", ()) if isinstance(budget, Mapping) else ()
    return Candidate.from_dict(line, str(search["metric"]), sizes)


def _unusable(path: Path, line: int, why: str) -> UserError:
    return UserError(
        f"Line {line} of {path} was changed or damaged: {why}.",
        "Choose another --out, or delete that file to start over.",
    )
