"""The visits so far, one line per visit, from which an interrupted measurement resumes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.devices import Visit
from edgecmp.errors import UserError
from edgecmp.files import write_atomic

__all__ = ["Journal"]

Runs = dict[str, Any]


class Journal:
    """A file of visits; its first line contains the settings of the measurement.

    Attributes:
        path: the file.
        visits: the visits so far, by the model's name and the round.

    Args:
        path: a new file, or the file of an interrupted measurement.
        settings: everything that the visits depend on.

    Raises:
        UserError: the file belongs to a measurement with other settings, or is not a journal.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.visits: defaultdict[str, dict[int, Runs]] = defaultdict(dict)
        header = json.dumps({"settings": settings}, sort_keys=True)
        if path.exists():
            first, *lines = path.read_text().split("\n")
            if first != header:
                raise UserError(
                    f"{path} belongs to another measurement ({_difference(first, settings)}).",
                    "Use another --out, or delete that file to measure from the start.",
                )
            for line in lines[:-1]:  # the last line is empty or incomplete
                visit = json.loads(line)
                self.visits[visit.pop("name")][visit.pop("round")] = visit
            write_atomic(path, "\n".join([first, *lines[:-1], ""]).encode())
        else:
            write_atomic(path, f"{header}\n".encode())

    def __contains__(self, key: tuple[str, int]) -> bool:
        """Whether the model of that name was visited in that round."""
        name, number = key
        return number in self.visits.get(name, {})

    def add(self, name: str, number: int, visit: Visit) -> None:
        """Adds one visit to the file."""
        kept: dict[str, Any]
        if visit.summary is not None:
            kept = {"min_us": visit.summary.min_us}
        else:
            runs = {"wall_us": visit.wall_us, "cpu_us": visit.cpu_us, "switches": visit.switches}
            kept = {key: [round(value, 3) for value in values] for key, values in runs.items()}
        self.visits[name][number] = kept
        with self.path.open("a") as file:
            file.write(json.dumps({"name": name, "round": number, **kept}) + "\n")

    def __len__(self) -> int:
        return sum(len(rounds) for rounds in self.visits.values())


def _difference(first: str, settings: Mapping[str, Any]) -> str:
    try:
        before = json.loads(first)["settings"]
    except (ValueError, KeyError, TypeError):
        return "it is not a journal of edgecmp"
    changed = [key for key in settings if before.get(key) != settings[key]]
    return ", ".join(f"{key} {before.get(key)}, now {settings[key]}" for key in changed[:3])
