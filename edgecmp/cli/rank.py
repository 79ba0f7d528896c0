"""`edgecmp rank`: a search's candidates by another reward or metric, without evaluating again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.choices import REWARDS
from edgecmp.cli.options import JsonFile, help_text, writable_folder
from edgecmp.report import finish

__all__ = ["HELP", "rank"]

HELP = help_text(
    "Rank a search by another reward, metric or budget. Its candidates are not evaluated again.",
    (
        "edgecmp rank runs/search --reward r1",
        "edgecmp rank runs/search --metric top10 --top 3 --out runs/by-top10",
        "edgecmp rank runs/search --budget 80M --top 1 --out runs/smaller",
    ),
    "The search may be running or interrupted. Each row has every reward and, as before, its rank "
    "in the search itself. Writes architecture.json (the best), architecture-2.json and so on to "
    "--out; each can be trained.",
)


def rank(
    search: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a search, or its history.jsonl.")
    ],
    reward: Annotated[
        str | None,
        typer.Option("--reward", metavar="|".join(REWARDS), help="The search's own if not given."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="Accuracy that the reward is made of: top1, top5, top10, top50 or tar; the "
            "search's own if not given.",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="FLOPS", help="Rank only candidates of at most this many: 80M."
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="N", help="Number of candidates.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            callback=writable_folder,
            help="Folder for the architectures; not written if left out.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.rank`."""
    from edgecmp import api

    report = api.rank(search, reward=reward, metric=metric, budget=budget, top=top, out=out)
    finish(report, json_file)
