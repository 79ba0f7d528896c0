"""history.jsonl: one line per candidate of a search, from which an interrupted search resumes.

The first line identifies the search. Each line is on the disk before the next candidate is
evaluated. Generations follow from the lines alone, and no line contains a time, so a search that is
killed at any moment and resumed ends with the same bytes as an uninterrupted one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import provenance, read_bytes
from edgecmp.search.evaluation.candidate import Candidate
from edgecmp.storage.line_file import LineFile

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

_START = json.dumps({"format": FORMAT}, separators=(",", ":")).encode()[:-1]
"""How the first line starts."""

NETWORK_FIELDS = ("tier", "embedding_dim", "input_size")
"""What an architecture consists of besides its genes; the header keeps it under "shape"."""

MOST_THREADS = 4096
"""No search was started with more threads."""


def read_header(path: Path) -> dict[str, Any] | None:
    """The first line of a history; None if there is no history yet.

    Raises:
        UserError: the file is not a history.
    """
    if not path.exists():
        return None
    first, *more = read_bytes(path, what="the history of a search").split(b"\n", 1)
    if not more and (first.startswith(_START) or _START.startswith(first)):
        return None  # killed before the first line was complete
    return _header(path, first)


def recorded_threads(path: Path) -> int | None:
    """The number of torch threads that a search was started with; None without a history."""
    header = read_header(path)
    evaluator = header["search"].get("evaluator") if header else None
    threads = evaluator.get("threads") if isinstance(evaluator, Mapping) else None
    return threads if isinstance(threads, int) and 0 < threads <= MOST_THREADS else None


def read_history(path: Path) -> tuple[dict[str, Any], list[Candidate]]:
    """Header and candidates of a history, complete or not, even while another process writes it.

    Raises:
        UserError: it does not exist, or was changed or damaged.
    """
    header = read_header(path)
    if header is None:
        raise UserError(f"{path} does not exist or is empty.", "Give the folder of a search.")
    *complete, _ = read_bytes(path, what="the history of a search").split(b"\n")
    return header, _candidates(path, complete, header["search"])


class History:
    """The candidates of a search: those on file first, then those appended.

    Use `History.opened`, which locks the file and closes it.

    Attributes:
        candidates: all that are on file, in the order of evaluation.
    """

    def __init__(self, file: LineFile, candidates: list[Candidate]) -> None:
        self._file = file
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
        with LineFile.opened(path, _line(header), what="search") as file:
            _check_same_search(path, _header(path, file.lines[0])["search"], search)
            yield cls(file, _candidates(path, file.lines, search))

    def append(self, candidate: Candidate) -> None:
        """Adds one line, which is on the disk when this returns.

        Raises:
            UserError: the file cannot be written, for example because the disk is full.
        """
        self._file.append(_line(candidate.to_dict()), sync=True)
        self.candidates.append(candidate)

    def changed(self, index: int) -> UserError:
        """The error for a recorded candidate that the search would not have evaluated there."""
        return _unusable(self._file.path, index + 2, "the search evaluates another candidate there")


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


def _header(path: Path, line: bytes) -> dict[str, Any]:
    """The first line of a history, parsed.

    Raises:
        UserError: it is another line.
    """
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _unusable(path, 1, "it is not the header of a search")
    if not isinstance(header.get("search"), dict):
        raise _unusable(path, 1, "it does not say what was searched")
    return header


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _check_same_search(path: Path, recorded: Mapping[str, Any], search: Mapping[str, Any]) -> None:
    """Refuses the history of another search; the message names what differs."""
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


def _candidates(path: Path, lines: list[bytes], search: Mapping[str, Any]) -> list[Candidate]:
    """The candidates of complete lines, the first of which is the header."""
    candidates = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            candidates.append(candidate_of(json.loads(line), search))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise _unusable(path, number, f"it is not a valid candidate ({error})") from error
    return candidates


def _unusable(path: Path, line: int, why: str) -> UserError:
    return UserError(
        f"Line {line} of {path} was changed or damaged: {why}.",
        "Choose another --out, or delete that file to start over.",
    )
