"""Progress on stderr: a bar in a terminal, and a few plain lines in a log.

Results go to stdout and everything here goes to stderr, so that output can be piped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from edgecmp.printable import printable
from edgecmp.wording import counted

__all__ = ["Bar", "duration", "progress", "say"]

LINE_SHARE = 0.1
"""A log gets a line each time this share of the work has been done..."""
LINE_SECONDS = 30.0
"""...or this many seconds have passed since the last line..."""
LINE_PAUSE_SECONDS = 1.0
"""...but never two lines within this time, so that short work writes only its last line."""


class Bar(Protocol):
    """The object that `progress` yields."""

    def advance(self, steps: int = 1) -> None:
        """Counts `steps` units of work as done."""
        ...

    def note(self, text: str) -> None:
        """Writes one permanent line, above the bars or into the log."""
        ...


def duration(seconds: float) -> str:
    """A time as text: "4.2 s", "45 s", "3 min 20 s", "1 h 02 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class _Remaining(ProgressColumn):
    """Elapsed time, and the time left at the mean pace since the start."""

    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        if task.total is None or not task.completed or task.finished:
            return Text(duration(elapsed), style="progress.elapsed")
        here = task.completed - int(task.fields["before"])
        left = elapsed * (task.total - task.completed) / max(1, here)
        return Text(f"{duration(elapsed)}, {duration(left)} left", style="progress.remaining")


class _TerminalBar:
    """One line of the terminal display."""

    def __init__(self, display: Progress, task: TaskID) -> None:
        self._display = display
        self._task = task

    def advance(self, steps: int = 1) -> None:
        self._display.advance(self._task, steps)

    def note(self, text: str) -> None:
        say(text)


class _Lines:
    """Plain lines for a log, such as "Embedding: 300 of 1000 images, 12 s, 28 s left"."""

    def __init__(self, text: str, total: int | None, unit: str, before: int) -> None:
        self._text = text
        self._total = total
        self._unit = unit
        self._done = self._before = before
        self._start = self._last = time.monotonic()
        self._written = 0

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        due = now - self._last >= LINE_SECONDS
        if self._total:
            due = due or self._done - self._written >= LINE_SHARE * self._total
        if self._done != self._total and due and now - self._last >= LINE_PAUSE_SECONDS:
            self._last, self._written = now, self._done
            say(self._line(now))

    def note(self, text: str) -> None:
        say(text)

    def finish(self) -> None:
        took = duration(time.monotonic() - self._start)
        say(f"{self._text}: {counted(self._done - self._before, self._unit)} in {took}")

    def _line(self, now: float) -> str:
        elapsed = now - self._start
        if not self._total:
            return f"{self._text}: {counted(self._done, self._unit)}, {duration(elapsed)}"
        left = elapsed * max(0, self._total - self._done) / max(1, self._done - self._before)
        of = f"{self._done:,} of {counted(self._total, self._unit)}"
        return f"{self._text}: {of}, {duration(elapsed)}, {duration(left)} left"


_display: Progress | None = None
"""The terminal display while at least one bar is open; nested bars are lines of the same one."""


def say(line: str) -> None:
    """Writes one line to stderr, above the bars if there are any."""
    line = printable(line)
    if _display is not None:
        _display.console.print(line, markup=False, highlight=False, soft_wrap=True)
    else:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(
    text: str, *, total: int | None = None, unit: str = "step", before: int = 0
) -> Iterator[Bar]:
    """Shows how much of some work is done and how much time is left.

    Args:
        text: the work, such as "Embedding the gallery".
        total: units of work in all; None if unknown.
        unit: one unit of work, in the singular, such as "image".
        before: units that an earlier run has done; they count as done but not for the pace.

    Yields:
        A `Bar`. In a log, the end of the block writes one line with the count and the time taken,
        unless the block failed.
    """
    global _display
    text = printable(text)
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        lines = _Lines(text, total, unit, before)
        yield lines
        lines.finish()
        return
    outermost = _display is None
    if _display is None:
        _display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            _Remaining(),
            console=console,
            transient=False,
        )
        _display.start()
    units = counted(2, unit).split(" ", 1)[1]
    task = _display.add_task(text, total=total, completed=before, unit=units, before=before)
    try:
        yield _TerminalBar(_display, task)
    finally:
        _display.stop_task(task)
        if outermost:
            _display.stop()
            _display = None
        else:
            _display.remove_task(task)
