"""`edgecmp devices`: what can be timed on from here."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import on_interrupt, print_table, write_report

__all__ = ["HELP", "devices"]

HELP = help_text(
    "List the devices that models can be timed on, with what they are.",
    (
        "edgecmp devices",
        "edgecmp devices ssh://pi@board adb:192.168.1.7:5555",
        "edgecmp devices --json devices.json",
    ),
    "Shows this machine, what adb has attached, and the devices you name. Exit code 1 if one that "
    "you named is not reached.",
)

COLUMNS = (
    *("device", "model", "soc", "cpu", "cores", "abi", "system"),
    *("runtimes", "governor", "temperature_c", "verdict"),
)


def devices(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DEVICES]", help="Also these, as --device would name them."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.benchmarks.devices.listing.list_devices`."""
    with on_interrupt("Nothing was written: run the same command again."):
        from edgecmp.benchmarks.devices.listing import list_devices

        report = list_devices(names or [])
    print_table(report.rows, columns=COLUMNS)
    for row in report.rows:
        if row["reason"]:
            known = row["reason"].startswith(row["device"])
            print(row["reason"] if known else f"{row['device']}: {row['reason']}")
    for note in report.notes:
        print(note)
    write_report(report, json_file)
    if any(row["named"] and row["verdict"] != "ready" for row in report.rows):
        raise typer.Exit(1)
