"""The visits so far, one line per visit, from which an interrupted measurement resumes."""

from __future__ import annotations

import json
import math
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.devices import Visit
from edgecmp.errors import UserError
from edgecmp.storage.line_file import LineFile

__all__ = ["Journal"]

Runs = dict[str, Any]

START_OVER = "Use another --out, or delete that file to measure from the start."


class Journal:
    """A file of visits; its first line contains the settings of the measurement.

    `Journal.opened` locks and closes it.

    Attributes:
        path: the file.
        visits: the visits so far, by the model's name and the round.
    """

    def __init__(self, file: LineFile) -> None:
        self.path = file.path
        self.visits: defaultdict[str, dict[int, Runs]] = defaultdict(dict)
        self._file = file

    @classmethod
    @contextmanager
    def opened(cls, path: Path, settings: Mapping[str, Any]) -> Iterator[Journal]:
        """Opens the file of an interrupted measurement, or starts a new one.

        Args:
            path: the file.
            settings: everything that the visits depend on.

        Raises:
            UserError: the file belongs to a measurement with other settings, is not a journal, was
                damaged, or is in use by another measurement.
        """
        header = json.dumps({"settings": settings}, sort_keys=True).encode()
        with LineFile.opened(path, header, what="measurement") as file:
            first, *lines = file.lines
            if first != header:
                raise UserError(
                    f"{path} belongs to another measurement ({_difference(first, settings)}).",
                    START_OVER,
                )
            journal = cls(file)
            for number, line in enumerate(lines, start=2):
                try:
                    visit = _parsed(line)
                    journal.visits[visit.pop("name")][visit.pop("round")] = visit
                except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
                    raise UserError(
                        f"Line {number} of {path} was changed or damaged.", START_OVER
                    ) from error
            yield journal

    def __contains__(self, key: tuple[str, int]) -> bool:
        """Whether the model of that name was visited in that round."""
        name, number = key
        return number in self.visits.get(name, {})

    def add(self, name: str, number: int, visit: Visit) -> None:
        """Adds one visit to the file.

        Raises:
            UserError: the file cannot be written, for example because the disk is full.
        """
        kept: dict[str, Any]
        if visit.summary is not None:
            kept = {"min_us": visit.summary.min_us}
        else:
            runs = {"wall_us": visit.wall_us, "cpu_us": visit.cpu_us, "switches": visit.switches}
            kept = {key: [round(value, 3) for value in values] for key, values in runs.items()}
        line = {"name": name, "round": number, **kept}
        line["crc32"] = _checksum(line)
        self._file.append(json.dumps(line).encode(), sync=False)
        self.visits[name][number] = kept

    def remove(self) -> None:
        """Removes the file: the measurement is done, and its result is written."""
        self._file.remove()

    def __len__(self) -> int:
        return sum(len(rounds) for rounds in self.visits.values())


def _parsed(line: bytes) -> dict[str, Any]:
    """A line that `Journal.add` wrote, without its checksum.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is another line.
    """
    visit: dict[str, Any] = json.loads(line)
    if visit.pop("crc32") != _checksum(visit):
        raise ValueError("the checksum is another one")
    times = [visit["min_us"]] if "min_us" in visit else [*visit["wall_us"], *visit["cpu_us"]]
    if not all(math.isfinite(time) for time in times):
        raise ValueError("a time is not finite")
    return visit


def _checksum(visit: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(visit).encode())


def _difference(first: bytes, settings: Mapping[str, Any]) -> str:
    try:
        before = json.loads(first)["settings"]
        changed = [key for key in settings if before.get(key) != settings[key]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "it is not a journal of edgecmp"
    if not changed:
        return "its first line was changed"
    return ", ".join(f"{key} {before.get(key)}, now {settings[key]}" for key in changed[:3])
