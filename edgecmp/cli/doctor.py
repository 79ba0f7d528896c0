"""`edgecmp doctor`: what works on this machine."""

from __future__ import annotations

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import key_values, on_interrupt, print_table, write_report

__all__ = ["HELP", "doctor"]

HELP = help_text(
    "Find out what this machine can export and run, by doing it.",
    (
        "edgecmp doctor",
        "edgecmp doctor --json doctor.json",
    ),
    "Writes a tiny network for every target in every precision, and runs it in every runtime. "
    "Installs nothing: what is missing is named with the command that adds it. Exit code 0 if "
    "everything can be written, runs in at least one runtime and fails in none, else 1.",
)

COLUMNS = ("target", "precision", "runtime", "version", "verdict", "cosine", "note")


def doctor(json_file: JsonFile = None) -> None:
    """Runs `edgecmp.export.doctor`."""
    with on_interrupt("Nothing was written: run the same command again."):
        from edgecmp.export.doctor import doctor as run

        report = run()
    print(key_values({**report.facts, "packages": report.installed}) + "\n")
    print_table(report.rows, columns=COLUMNS)
    for item in report.advice:
        print(f"\n{item['missing']}\n  {item['add']}")
    works = "can be" if report.passed else "cannot all be"
    print(f"\nThe targets and precisions {works} written and run here.")
    write_report(report, json_file)
    if not report.passed:
        raise typer.Exit(1)
