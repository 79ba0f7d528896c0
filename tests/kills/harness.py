"""Runs a real command in a process of its own, and kills it before any of its writes.

A command's events are what it does to one folder: opening a file for writing, renames, removals,
new folders, and every fsync. They come in the same order in every run, so "the 7th" or "the second
last" is the same moment each time, and all of the last moments can be tried.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Killer", "Outcome", "contents", "moment", "started"]

ROOT = Path(__file__).parents[2]

VOLATILE = frozenset({"provenance", "seconds", "seconds_each", "content_sha256", "date"})
"""Fields of JSON files that no two runs have in common: times, and commands that name a folder."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: its exit code; -9 if it was killed.
        output: stdout and stderr.
        events: what it did; empty if it was killed.
    """

    code: int
    output: str
    events: Sequence[str]


class Killer:
    """See `started`.

    Args:
        process: the process that forks the commands.
        scratch: folder for their output.
    """

    def __init__(self, process: subprocess.Popen[str], scratch: Path) -> None:
        self.process, self.scratch = process, scratch

    def run(
        self,
        call: str,
        *arguments: object,
        watched: Path,
        die_at: int | None = None,
        happens: str = "SIGKILL",
    ) -> Outcome:
        """Calls a function in a new process.

        Args:
            call: "module:function"; the function may return an exit code.
            arguments: JSON values and paths.
            watched: the folder whose changes are counted.
            die_at: number of the event, from 1, before which it is killed; None: it is not.
            happens: then: a signal, "disk full" or "disk stays full".
        """
        events, output = self.scratch / "events.json", self.scratch / "output.txt"
        events.unlink(missing_ok=True)
        request = {
            "call": call,
            "arguments": [str(a) if isinstance(a, Path) else a for a in arguments],
            "watched": str(watched),
            "at": die_at,
            "happens": happens,
            "events": str(events),
            "output": str(output),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return Outcome(
            code=os.waitstatus_to_exitcode(status),
            output=output.read_text(errors="replace"),
            events=json.loads(events.read_text()) if events.exists() else [],
        )

    def killed(self, call: str, *arguments: object, watched: Path, die_at: int) -> None:
        """Calls a function in a new process, which must die at that event."""
        outcome = self.run(call, *arguments, watched=watched, die_at=die_at)
        assert outcome.code == -signal.SIGKILL, outcome.output


@contextmanager
def started(scratch: Path, *modules: str) -> Iterator[Killer]:
    """A `Killer`; its process imports the modules once, which takes seconds.

    Args:
        scratch: folder for output.
        modules: what the commands use.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kills.zygote", *modules],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield Killer(process, scratch)
    finally:
        process.kill()
        process.wait()


def moment(events: Sequence[str], when: float | int) -> int:
    """The number of an event, from 1.

    Args:
        events: of an undisturbed run.
        when: -1 is the last event, -2 the one before it; 0.4 the one after 40 % of all.
    """
    if isinstance(when, int):
        return len(events) + 1 + when
    return 1 + round(when * (len(events) - 1))


def contents(folder: Path) -> dict[str, Any]:
    """Every file in a folder by name, without what no two runs have in common."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[name] = "a folder"
        elif path.suffix == ".json":
            found[name] = _stable(json.loads(path.read_text()))
        else:
            found[name] = path.read_bytes()
    return found


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stable(part) for key, part in value.items() if key not in VOLATILE}
    return [_stable(part) for part in value] if isinstance(value, list) else value
