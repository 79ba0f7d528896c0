"""`edgecmp search`: the best architecture under a budget of FLOPs, and of latency on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.choices import REWARDS, STRATEGIES
from edgecmp.cli.options import (
    Data,
    GalleryModel,
    JsonFile,
    Latency,
    LatencyTable,
    Seed,
    help_text,
    writable_folder,
)
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "search"]

HELP = help_text(
    "Find the best architecture under FLOPs and latency bounds. The latency is that of a query "
    "on your device.",
    (
        "edgecmp search --budget 100M --quick --out runs/quick",
        "edgecmp search --budget 100M --out runs/search",
        "edgecmp search --budget 100M --latency 850us --table phone.json --out runs/phone",
        "edgecmp search --budget 95M --supernet runs/supernet --data photos/ --out runs/photos",
        "edgecmp search --budget 100M,90M,80M --strategy predictor --out runs/tiers",
        "edgecmp search --budget 100M --strategy pareto --input-sizes 48,56,64 --out runs/front",
    ),
    "Candidates are scored with the supernet's weights by how many hold-out queries they retrieve. "
    "Writes architecture.json, history.jsonl, search.png and result.json to --out. An interrupted "
    "search resumes when you rerun the command.",
    "With --latency and --table (from `edgecmp latency build`) every candidate meets both bounds, "
    "pareto.png shows reward against latency, and the best candidates are measured on the table's "
    "device: the winner is the best one that meets the bound there. Exit code 1 if none of 25 "
    "does.",
    "Strategies: evolution (the paper's), predictor (a surrogate model of the reward; about half "
    "the evaluations), pareto (the whole front of reward, FLOPs and latency, in pareto.png). The "
    "last two take several budgets at once and write architecture-80M.json for each smaller one. "
    "With --input-sizes the size of the query's image is searched too, and a budget counts FLOPs "
    "in proportion to it.",
)


def search(
    budget: Annotated[
        str,
        typer.Option("--budget", metavar="FLOPS", help="At 224 x 224 by fvcore's rules: 100M."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            callback=writable_folder,
            help="Folder for the result and the history.",
        ),
    ],
    latency: Latency = None,
    table: LatencyTable = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small search: two minutes on two cores.")
    ] = False,
    supernet: Annotated[
        Path | None,
        typer.Option(
            "--supernet",
            metavar="DIR",
            help="A trained supernet; the starter kit's if not given.",
        ),
    ] = None,
    gallery: GalleryModel = None,
    data: Data = "emoji",
    reward: Annotated[
        str,
        typer.Option(
            "--reward",
            metavar="|".join(REWARDS),
            help="Objective: r1 = M(q,q), r2 = M(q,g), r3 = their product (default), r3sum = their "
            "sum.",
        ),
    ] = "r3",
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy", metavar="|".join(STRATEGIES), help="How candidates are proposed."
        ),
    ] = "evolution",
    input_sizes: Annotated[
        str | None,
        typer.Option(
            "--input-sizes", metavar="PIXELS", help="Search the query's size too: 48,56,64."
        ),
    ] = None,
    population: Annotated[
        int | None,
        typer.Option("--population", metavar="N", help="Candidates per generation."),
    ] = None,
    generations: Annotated[
        int | None, typer.Option("--generations", metavar="N", help="The first one is random.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", help="Worker processes; one per core if not given."),
    ] = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.search`."""
    from edgecmp import api

    with on_interrupt(f"The evaluated candidates are in {out}: rerun the command to resume."):
        report = api.search(
            budget,
            out=out,
            latency=latency,
            table=table,
            supernet=supernet,
            gallery=gallery,
            data=data,
            reward=reward,
            quick=quick,
            seed=seed,
            strategy=strategy,
            input_sizes=input_sizes,
            population=population,
            generations=generations,
            jobs=jobs,
        )
    finish(report, json_file)
    if report.verified is False:
        raise typer.Exit(1)
