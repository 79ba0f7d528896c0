"""`edgecmp reproduce`: the paper's tables on a recipe's data, published and ours side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Gallery, JsonFile, help_text
from edgecmp.errors import UserError
from edgecmp.report import finish, on_interrupt, print_table, write_report

__all__ = ["HELP", "reproduce"]

HELP = help_text(
    "Run a table of the paper on a recipe's data, and lay our figures beside the published ones.",
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
    "Each run is kept in --out and never made twice; a run that was stopped goes on from its last "
    "epoch. --list also shows the runs that ship with edgecmp.",
)


def reproduce(
    table: Annotated[
        str | None, typer.Argument(metavar="TABLE", help="table1 to table4, or figure1.")
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="A wrong name lists them all.")
    ] = "emoji",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of all runs.")] = Path(
        "runs/reproduce"
    ),
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
    """Runs `edgecmp.benchmarks.paper`."""
    if listed:
        from edgecmp.benchmarks.paper import listing

        shown = listing(table, recipe_name=recipe, out=out, data=data)
        print_table(shown.rows)
        write_report(shown, json_file)
        return
    if table is None:
        raise UserError("No table was named.", "Name one, such as table3, or use --list.")
    with on_interrupt(f"What was run is kept in {out}: run the same command again and it goes on."):
        from edgecmp.benchmarks.paper import reproduce as run

        found = run(
            table,
            recipe_name=recipe,
            out=out,
            data=data,
            test_data=test_data,
            gallery=gallery,
            systems=tuple(name.strip() for name in systems.split(",") if name.strip()),
        )
    print(f"{found.table}: {found.title}")
    print(f"published: {found.published_data} | ours: {found.data} (recipe {recipe})")
    finish(found, json_file, wrote=[(f"the {what}", where) for what, where in found.files.items()])
