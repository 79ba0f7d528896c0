"""`edgecmp search`: the best architecture under a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import Data, Gallery, JsonFile, Seed, help_text
from edgecmp.cli.output import finish, on_interrupt

__all__ = ["HELP", "search"]

HELP = help_text(
    "Search the best architecture under a budget of FLOPs.",
    (
        "edgecmp search --budget 100M --quick --out runs/quick",
        "edgecmp search --budget 100M --out runs/search",
        "edgecmp search --budget 95M --supernet runs/supernet --data photos/ --out runs/photos",
    ),
    "Best is what finds most in the gallery, by the supernet. "
    "Writes architecture.json, history.jsonl, search.png and result.json to --out. A search "
    "that was stopped, "
    "by whatever, goes on when the same command runs again.",
)


def search(
    budget: Annotated[
        str,
        typer.Option("--budget", metavar="FLOPS", help="At 224 x 224 by fvcore's rules: 100M."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the result and the history.")
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="A small search: two minutes on two cores.")
    ] = False,
    supernet: Annotated[
        Path | None,
        typer.Option(
            "--supernet", metavar="DIR", help="A trained supernet; the starter kit's if not given."
        ),
    ] = None,
    gallery: Gallery = None,
    data: Data = "emoji",
    reward: Annotated[
        str, typer.Option("--reward", metavar="NAME", help="What a candidate is worth.")
    ] = "r3",
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.search.run`."""
    kept = f"What was evaluated is kept in {out}: run the same command again and it goes on."
    with on_interrupt(kept):
        from edgecmp.search import run

        report = run(
            budget,
            out=out,
            supernet=supernet,
            gallery=gallery,
            data=data,
            reward=reward,
            quick=quick,
            seed=seed,
        )
    finish(
        report,
        json_file,
        wrote=[(f"the {what}", where) for what, where in report.files.items()],
    )
