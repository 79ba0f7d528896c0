"""What every command ends with: a table on stdout, its JSON, and where files were written."""

from __future__ import annotations

import html
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgecmp.errors import UserError
from edgecmp.printable import printable

__all__ = [
    "PIPED_WIDTH",
    "Report",
    "failures",
    "finish",
    "html_table",
    "key_values",
    "on_interrupt",
    "print_table",
    "show",
    "table_text",
    "write_report",
]

PIPED_WIDTH = 240
"""Columns of a table that goes to a file or a pipe, where no line may be folded."""

DECIMALS = {"cosine": 6, "score": 4, "_ms": 3}
"""Decimals of a column, by a part of its name; every other float is shown with two."""

REWARDS = ("r1", "r2", "r3", "r3sum")
"""Columns of floats below one, shown with four decimals."""


class Report(ABC):
    """What every verb of the API returns: a table, a JSON document, and what was written.

    It prints as its table in a terminal and in a notebook. Subclasses are dataclasses with
    `repr=False`.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # a property of the base would be taken for the default of a field

        @property
        def rows(self) -> Sequence[Mapping[str, Any]]:
            """The table, one mapping per row."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The document that `--json` writes."""

    def shown_rows(self) -> Sequence[Mapping[str, Any]]:
        """The rows as people read them; `to_dict` holds all that programs need."""
        return self.rows

    def shown_columns(self) -> Sequence[str]:
        """The columns that fit a screen, in order; all if empty."""
        return ()

    def heading(self) -> str:
        """What stands above the table; empty for nothing."""
        return ""

    def sentences(self) -> Sequence[str]:
        """Sentences below the table."""
        return ()

    def written(self) -> Mapping[str, Path]:
        """What was written ("the gallery index"), and where."""
        return {}

    def text(self, width: int) -> str:
        """All of it as plain text of at most `width` characters per line."""
        rows = self.shown_rows()
        table = table_text(rows, columns=self.shown_columns(), width=width) if rows else ""
        wrote = [f"Wrote {what}: {where}" for what, where in self.written().items()]
        return "\n".join(
            part for part in (self.heading(), table, *self.sentences(), *wrote) if part
        )

    def __str__(self) -> str:
        return self.text(_width())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        lines = [self.heading(), *self.sentences()]
        wrote = [f"Wrote {what}: {where}" for what, where in self.written().items()]
        top, *below = (f"<p>{html.escape(line)}</p>" if line else "" for line in [*lines, *wrote])
        return "\n".join((top, html_table(self.shown_rows(), self.shown_columns()), *below))


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
    return _in_line(str(value))


def _in_line(text: str) -> str:
    """The text with every control character escaped, line breaks too: a cell is one line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


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
    shown = _flat_columns(rows, columns)
    whole = _render(rows, {column: column for column in shown}, width=PIPED_WIDTH)
    if max(map(len, whole.splitlines())) <= width:
        return whole
    return _render(rows, {column: column.replace("_", "\n") for column in shown}, width=width)


def html_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """The rows as an HTML table, with the columns that `table_text` would show."""
    if not rows:
        return ""
    shown = _flat_columns(rows, columns)
    head = "".join(f"<th>{html.escape(column)}</th>" for column in shown)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(_cell(column, row.get(column)))}</td>" for column in shown)
        + "</tr>"
        for row in _short_files(rows)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _flat_columns(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """The columns that hold one value per cell, and a value in some row."""
    flat = (str, int, float, Path, type(None))
    return [
        column
        for column in columns or dict.fromkeys(key for row in rows for key in row)
        if all(isinstance(row.get(column), flat) for row in rows)
        and any(row.get(column) not in (None, "") for row in rows)
    ]


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


def finish(report: Report, json_file: Path | None) -> None:
    """Prints the report as wide as the terminal and writes its JSON.

    Args:
        report: what the verb returned.
        json_file: the value of `--json`, or None.

    Raises:
        UserError: the JSON file cannot be written.
    """
    if text := str(report):
        show(text)
    write_report(report, json_file)


def show(text: str) -> None:
    """Prints text to stdout, with what could control the terminal escaped."""
    print(printable(text))


def failures(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line per row of a file in a runtime that has a reason for its verdict."""
    return [
        f"{row['verdict']}: {row['file']} in {row['runtime']}: {row['reason']}"
        for row in rows
        if row.get("reason")
    ]


def print_table(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] = ()) -> None:
    """Prints `table_text` as wide as the terminal, or whole where there is none."""
    if rows:
        print(table_text(rows, columns=columns, width=_width()))


def write_report(report: Report, json_file: Path | None) -> None:
    """Writes what `--json` asks for; nothing if it was not given.

    Raises:
        UserError: the file cannot be written.
    """
    if json_file is not None:
        from edgecmp.files import write_json

        show(f"Wrote this as JSON: {write_json(json_file, report.to_dict())}")


def key_values(pairs: Mapping[str, object], *, indent: int = 0) -> str:
    """One line a key, its value beside it; long values are folded below each other on a terminal.

    Args:
        pairs: values may be nested; keys with nothing to say (None, empty) are left out.
        indent: spaces before each line.
    """
    import textwrap

    texts = {_in_line(key): _flat(value) for key, value in pairs.items()}
    shown = {_heading(key): text for key, text in texts.items() if text}
    room = _width() if _on_terminal() else None
    column = indent + max(map(len, shown), default=0) + 2
    lines = []
    for key, text in shown.items():
        head = " " * indent + key.ljust(column - indent)
        if room is None:
            lines.append(head + text)
            continue
        lines += textwrap.wrap(
            text,
            max(room, column + 20),
            initial_indent=head,
            subsequent_indent=" " * column,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _heading(key: str) -> str:
    """A field's name in words; anything else, such as a sentence with a path, as it is."""
    return key.replace("_", " ") if key.isidentifier() else key


def _flat(value: object) -> str:
    """A nested value in one line; of a SHA-256 the first digits, as everywhere."""
    if isinstance(value, Mapping):
        parts = {key: _flat(part) for key, part in value.items() if part is not None}
        return ", ".join(
            f"{_in_line(str(key))} ({text})"
            if isinstance(value[key], Mapping)
            else f"{_in_line(str(key))} {text}"
            for key, text in parts.items()
            if text
        )
    if isinstance(value, (list, tuple)):
        joint = "; " if any(isinstance(part, str) for part in value) else " "
        return joint.join(_flat(part) for part in value)
    if isinstance(value, str):
        return value[:12] if re.fullmatch("[0-9a-f]{64}", value) else _in_line(value)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else _cell("", value)


def _width() -> int:
    """Characters of a line on the terminal; `PIPED_WIDTH` where there is none."""
    from rich.console import Console

    return Console().width if _on_terminal() else PIPED_WIDTH


def _on_terminal() -> bool:
    from rich.console import Console

    return Console().is_terminal


@contextmanager
def on_interrupt(kept: str) -> Iterator[None]:
    """Turns Ctrl-C into one sentence: `kept` says what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise UserError("Interrupted.", kept) from error
