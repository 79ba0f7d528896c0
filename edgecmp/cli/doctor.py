"""`edgecmp doctor`: what works on this machine."""

from __future__ import annotations

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "doctor"]

HELP = help_text(
    "Find out what this machine can export and run, by doing it.",
    (
        "edgecmp doctor",
        "edgecmp doctor --json doctor.json",
    ),
    "Writes a small network for every target in every precision, and runs it in every runtime. "
    "Installs nothing: what is missing is named with the command that adds it. Exit code 0 if "
    "everything can be written, runs in at least one runtime and fails in none, else 1.",
)


def doctor(json_file: JsonFile = None) -> None:
    """Runs `edgecmp.doctor`."""
    from edgecmp import api

    with on_interrupt("Nothing was written: rerun the command."):
        report = api.doctor()
    finish(report, json_file)
    if not report.passed:
        raise typer.Exit(1)
