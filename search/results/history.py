"""history.jsonl: one line per candidate of a search, from which an interrupted search resumes.

The first line identifies the search. Each line is on the disk before the next candidate is
evaluated. Generations follow from the lines alone, and no line contains a time, so a search that is
killed at any moment and resumed ends with the same bytes as an uninterrupted one.
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

__all__ = [
    "FORMAT",
    "NETWORK_FIELDS",
    "History",
    "candidate_of",
    "read_header",
    "read_history",
    "recorded_threads",
]

FORMAT = "edgecmp-history/1"

NETWORK_FIELDS = ("tier", "embedding_dim", "input_size")
"""What an architecture consists of besides its genes; the header keeps it under "shape"."""


def read_header(path: Path) -> dict[str, Any] | None:
    """The first line of a history; None if there is no history yet.

    Raises:
        UserError: the file is not a history.
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


def recorded_threads(path: Path) -> int | None:
    """The number of torch threads that a search was started with; None without a history."""
    header = read_header(path)
    threads = header["search"].get("evaluator", {}).get("threads") if header else None
    return threads if isinstance(threads, int) and threads > 0 else None


def read_history(path: Path) -> tuple[dict[str, Any], list[Candidate]]:
    """Header and candidates of a history, complete or not, even while another process writes it.

    Raises:
        UserError: it does not exist, or was changed or damaged.
    """
    header = read_header(path)
    if header is None:
        raise UserError(f"{path} does not exist.", "Give the folder of a search.")
    complete = _complete_lines(path.read_bytes())
    return header, _candidates(path, complete, header["search"])


class History:
    """The candidates of a search: those on file first, then those appended.

    Use `History.opened`, which locks the file and closes it.

    Attributes:
        candidates: all that are on file, in the order of evaluation.
    """

    def __init__(self, file: io.FileIO, path: Path, candidates: list[Candidate]) -> None:
        self._file = file
        self._path = path
        self.candidates = candidates

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, search: Mapping[str, Any], network: Mapping[str, Any] | None = None
    ) -> Iterator[History]:
        """Starts a history, or opens one to be continued.

        An incomplete last line is removed. All other lines must be intact.

        Args:
            path: history.jsonl.
            search: what determines the candidates and their numbers, as JSON values; "metric" is
                what the rewards are computed from.
            network: the `NETWORK_FIELDS` of the architectures, for `rerank`.

        Raises:
            UserError: the file belongs to another search, was changed, or is in use.
        """
        header = {
            "format": FORMAT,
            "search": dict(search),
            "shape": dict(network or {}),
            "provenance": provenance(),
        }
        if not path.exists():
            write_atomic(path, _line(header))
        with _opened(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"Another search is writing {path}.",
                    "Wait until it ends, or choose another --out.",
                ) from None
            _check_same_search(path, search)
            complete = _complete_lines(file.read())
            file.seek(len(complete))
            file.truncate()
            yield cls(file, path, _candidates(path, complete, search))

    def append(self, candidate: Candidate) -> None:
        """Adds one line, which is on the disk when this returns.

        Raises:
            UserError: the file cannot be written, for example because the disk is full.
        """
        line = _line(candidate.to_dict())
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(
                f"The search stopped: {self._path} cannot be written ({_reason(error)}).",
                "Fix the cause (free some disk space), then rerun the command to resume the "
                "search.",
            ) from error
        self.candidates.append(candidate)

    def changed(self, index: int) -> UserError:
        """The error for a recorded candidate that the search would not have evaluated there."""
        return _unusable(self._path, index + 2, "the search evaluates another candidate there")


def candidate_of(line: Mapping[str, Any], search: Mapping[str, Any]) -> Candidate:
    """The candidate of a line.

    Args:
        line: of the history, parsed.
        search: of the history's header.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is not such a line.
    """
    budget = search.get("budget")
    sizes = budget.get("input_sizes", ()) if isinstance(budget, Mapping) else ()
    return Candidate.from_dict(line, str(search["metric"]), sizes)


def _complete_lines(content: bytes) -> bytes:
    """A history without its last line, if that is incomplete."""
    return content[: content.rfind(b"\n") + 1]


def _opened(path: Path) -> io.FileIO:
    """The file, unbuffered, so that a line that does not fit fails at once and only once."""
    try:
        return path.open("r+b", buffering=0)
    except OSError as error:
        raise UserError(
            f"{path} cannot be opened for writing: {_reason(error)}.", "Choose another --out."
        ) from error


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _line(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, separators=(",", ":")) + "\n").encode()


def _check_same_search(path: Path, search: Mapping[str, Any]) -> None:
    """Refuses the history of another search; the message names what differs."""
    header = read_header(path)
    recorded = header["search"] if header else {}
    requested = json.loads(json.dumps(dict(search)))
    names = sorted(requested.keys() | recorded.keys())
    differing = [name for name in names if recorded.get(name) != requested.get(name)]
    if differing:
        shown = "; ".join(
            f"{name} was {json.dumps(recorded.get(name))}, now {json.dumps(requested.get(name))}"
            for name in differing
        )
        raise UserError(
            f"{path} is the history of another search ({shown}).",
            "Choose another --out, or delete that file to start over.",
        )


def _candidates(path: Path, content: bytes, search: Mapping[str, Any]) -> list[Candidate]:
    """The candidates of complete lines, the first of which is the header."""
    candidates = []
    for number, line in enumerate(content.splitlines()[1:], start=2):
        try:
            candidates.append(candidate_of(json.loads(line), search))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _unusable(path, number, f"it is not a valid candidate ({error})") from error
    return candidates


def _unusable(path: Path, line: int, why: str) -> UserError:
    return UserError(
        f"Line {line} of {path} was changed or damaged: {why}.",
        "Choose another --out, or delete that file to start over.",
    )
