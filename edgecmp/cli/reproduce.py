"""`edgecmp reproduce`: the paper's tables on a recipe's data, published and ours side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.choices import TABLES, TASK_RECIPES
from edgecmp.cli.options import Gallery, JsonFile, help_text, recipe_option, writable_folder
from edgecmp.errors import UserError
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "reproduce"]

HELP = help_text(
    "Run a table of the paper on a recipe's data. Our figures are put beside the published ones.",
    (
        "edgecmp reproduce --list",
        "edgecmp reproduce table3 --recipe emoji --out runs/reproduce",
        "edgecmp reproduce table3 --systems CMP-NAS-c,MobileNetV1 --out runs/reproduce",
        "edgecmp reproduce table2 --recipe face --data IMDb-Face.csv --test-data IJBC/ "
        "--out runs/faces",
    ),
    "Tables: table1 and table2 (faces), table3 (fashion), table4 (pruned gallery models), figure1 "
    "(rewards and supernets). Cells read `published | ours`; with several seeds the spread follows "
    "in brackets. Published figures are of the paper's data, ours of the recipe's.",
    "Finished runs are kept in --out and not repeated; an interrupted run resumes from its last "
    "complete epoch. --list also shows the runs that ship with edgecmp.",
)


def reproduce(
    table: Annotated[
        str | None, typer.Argument(metavar="|".join(TABLES), help="Which table.")
    ] = None,
    recipe: Annotated[str, recipe_option(TASK_RECIPES)] = "emoji",
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", callback=writable_folder, help="Folder of all runs."),
    ] = Path("runs/reproduce"),
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="What is trained on; the recipe's own if not given.",
        ),
    ] = None,
    test_data: Annotated[
        str | None,
        typer.Option(
            "--test-data",
            metavar="NAME|PATH",
            help="What is tested on, if not the test split of --data; IJB-C for --recipe face.",
        ),
    ] = None,
    gallery: Gallery = None,
    systems: Annotated[
        str,
        typer.Option("--systems", metavar="A,B", help="Rows to run; all if not given."),
    ] = "",
    listed: Annotated[
        bool, typer.Option("--list", help="Run nothing; show what has been run so far.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.reproduce` or `edgecmp.list_reproductions`."""
    from edgecmp import api

    if listed:
        finish(api.list_reproductions(table, recipe=recipe, out=out, data=data), json_file)
        return
    if table is None:
        raise UserError("No table was named.", "Name one, such as table3, or use --list.")
    with on_interrupt(f"The finished runs are in {out}: rerun the command to resume."):
        report = api.reproduce(
            table,
            recipe=recipe,
            out=out,
            data=data,
            test_data=test_data,
            gallery=gallery,
            systems=tuple(name.strip() for name in systems.split(",") if name.strip()),
        )
    finish(report, json_file)
