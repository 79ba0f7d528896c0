"""What every command ends with: a table on stdout, its JSON, and where files were written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from edgecmp.errors import UserError

__all__ = ["Report", "finish", "on_interrupt", "table_text"]

PIPED_WIDTH = 240
"""Columns of a table that goes to a file or a pipe, where no line may be folded."""

DECIMALS = {"cosine": 6, "_ms": 3}
"""Decimals of a column, by a part of its name; every other float is shown with two."""

REWARDS = ("r1", "r2", "r3", "r3sum")
"""Columns of floats below one, shown with four decimals."""


class Report(Protocol):
    """What every verb returns."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The table, one mapping a row."""

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""


def _cell(column: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        default = 4 if column in REWARDS else 2
        decimals = next((n for part, n in DECIMALS.items() if part in column), default)
        return f"{value:,.{decimals}f}"
    return str(value)


def _short_files(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The rows with their files named without folders, where that leaves them distinct."""
    files = {str(row["file"]) for row in rows if row.get("file")}
    if len({Path(file).name for file in files}) < len(files):
        return rows
    return [{**row, "file": Path(row["file"]).name} if row.get("file") else row for row in rows]


def table_text(
    rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] = (), width: int
) -> str:
    """The rows as a plain table.

    Args:
        rows: one mapping a row.
        columns: which to show, in order; all if empty. Columns that are empty in every row, or
            hold anything nested, are left to the JSON.
        width: characters a line, at most.
    """
    flat = (str, int, float, Path, type(None))
    shown = [
        column
        for column in columns or dict.fromkeys(key for row in rows for key in row)
        if all(isinstance(row.get(column), flat) for row in rows)
        and any(row.get(column) not in (None, "") for row in rows)
    ]
    whole = _render(rows, {column: column for column in shown}, width=PIPED_WIDTH)
    if max(map(len, whole.splitlines())) <= width:
        return whole
    return _render(rows, {column: column.replace("_", "\n") for column in shown}, width=width)


def _render(rows: Sequence[Mapping[str, Any]], headers: Mapping[str, str], *, width: int) -> str:
    """The table with these columns and headings."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column, header in headers.items():
        numbers = all(isinstance(row.get(column), (int, float, type(None))) for row in rows)
        justify: Literal["left", "right"] = "right" if numbers else "left"
        table.add_column(Text(header), justify=justify, overflow="fold")
    for row in _short_files(rows):
        table.add_row(*(Text(_cell(column, row.get(column))) for column in headers))
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def finish(
    report: Report,
    json_file: Path | None,
    *,
    columns: Sequence[str] = (),
    wrote: Sequence[tuple[str, Path]] = (),
) -> None:
    """Prints the report's table, writes its JSON, and says what lies where.

    Args:
        report: what the verb returned.
        json_file: the value of `--json`, or None.
        columns: those of the table that fit a screen; the JSON has all.
        wrote: (what, where) of each thing that the command wrote.

    Raises:
        UserError: the JSON file cannot be written.
    """
    from rich.console import Console

    console = Console()
    if report.rows:
        width = console.width if console.is_terminal else PIPED_WIDTH
        print(table_text(report.rows, columns=columns, width=width))
    for row in report.rows:
        if row.get("reason"):
            print(f"{row['verdict']}: {row['file']} in {row['runtime']}: {row['reason']}")
    for what, where in wrote:
        print(f"Wrote {what}: {where}")
    if json_file is not None:
        from edgecmp.files import write_json

        print(f"Wrote this as JSON: {write_json(json_file, report.to_dict())}")


@contextmanager
def on_interrupt(kept: str) -> Iterator[None]:
    """Turns Ctrl-C into one sentence: `kept` says what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise UserError("Interrupted.", kept) from error
