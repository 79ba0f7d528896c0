"""`edgecmp devices`: what can be timed on from here."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "devices"]

HELP = help_text(
    "List the devices that models can be timed on. Each is shown with its facts.",
    (
        "edgecmp devices",
        "edgecmp devices ssh://pi@board adb:192.168.1.7:5555",
        "edgecmp devices --json devices.json",
    ),
    "Shows this machine, what adb has attached, and the devices you name. Exit code 1 if one that "
    "you named is not reached.",
)


def devices(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DEVICES]", help="Also these, as --device would name them."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.list_devices`."""
    from edgecmp import api

    with on_interrupt("Nothing was written: rerun the command."):
        report = api.list_devices(names or [])
    finish(report, json_file)
    if any(row["named"] and row["verdict"] != "ready" for row in report.rows):
        raise typer.Exit(1)
