"""`edgecmp search`: the best architecture under a budget of FLOPs, and of latency on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecmp.cli.options import Data, GalleryModel, JsonFile, Seed, help_text
from edgecmp.errors import UserError
from edgecmp.report import finish, on_interrupt

if TYPE_CHECKING:
    from edgecmp.networks.architecture import Architecture

__all__ = ["HELP", "search"]

HELP = help_text(
    "Search the best architecture under a budget of FLOPs, and of latency on a device.",
    (
        "edgecmp search --budget 100M --quick --out runs/quick",
        "edgecmp search --budget 100M --out runs/search",
        "edgecmp search --budget 100M --latency 850us --table phone.json --out runs/phone",
        "edgecmp search --budget 95M --supernet runs/supernet --data photos/ --out runs/photos",
        "edgecmp search --budget 100M,90M,80M --strategy predictor --out runs/tiers",
        "edgecmp search --budget 100M --strategy pareto --input-sizes 48,56,64 --out runs/front",
    ),
    "Best is what finds most in the gallery, by the supernet. "
    "Writes architecture.json, history.jsonl, search.png and result.json to --out. A search "
    "that was stopped, "
    "by whatever, goes on when the same command runs again.",
    "With --latency and --table (from `edgecmp latency build`) candidates hold both bounds, "
    "pareto.png shows reward against latency, and the best are measured again on the table's "
    "device: the winner is the best that holds the bound there. Exit code 1 if none of 25 does.",
    "Strategies: evolution (the paper's), predictor (learns from what was measured; half the "
    "evaluations), pareto (the whole front of reward, FLOPs and latency; pareto.png). The last two "
    "take several budgets at once and write architecture-80M.json for each smaller one. With "
    "--input-sizes the size of the query's image is searched too, and a budget counts FLOPs in "
    "proportion to it.",
)


def search(
    budget: Annotated[
        str,
        typer.Option("--budget", metavar="FLOPS", help="At 224 x 224 by fvcore's rules: 100M."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the result and the history.")
    ],
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency", metavar="TIME", help="The longest a query may take: 4ms or 850us."
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="The latency table of the device."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small search: two minutes on two cores.")
    ] = False,
    supernet: Annotated[
        Path | None,
        typer.Option(
            "--supernet", metavar="DIR", help="A trained supernet; the starter kit's if not given."
        ),
    ] = None,
    gallery: GalleryModel = None,
    data: Data = "emoji",
    reward: Annotated[
        str, typer.Option("--reward", metavar="NAME", help="What a candidate is worth.")
    ] = "r3",
    strategy: Annotated[
        str, typer.Option("--strategy", metavar="NAME", help="evolution, predictor or pareto.")
    ] = "evolution",
    input_sizes: Annotated[
        str | None,
        typer.Option(
            "--input-sizes", metavar="PIXELS", help="Search the query's size too: 48,56,64."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", help="Evaluate N at once; one a core if not given."),
    ] = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.search.run`."""
    kept = f"What was evaluated is kept in {out}: run the same command again and it goes on."

    def remeasure(architectures: Sequence[Architecture]) -> list[float]:
        return _measured(table, architectures) if table else []

    with on_interrupt(kept):
        from edgecmp.search import run

        report = run(
            budget,
            out=out,
            latency=latency,
            table=table,
            lowering=_lowering() if table else None,
            remeasure=remeasure if table else None,
            supernet=supernet,
            gallery=gallery,
            data=data,
            reward=reward,
            quick=quick,
            seed=seed,
            strategy=strategy,
            input_sizes=input_sizes,
            jobs=jobs,
        )
    finish(
        report,
        json_file,
        wrote=[(f"the {what}", where) for what, where in report.files.items()],
    )
    if report.verified is False:
        raise typer.Exit(1)


def _lowering() -> str:
    """The hash of the code that lowers networks today."""
    from edgecmp.export.latency_parts import lowering_fingerprint

    return lowering_fingerprint()


def _measured(table: Path, architectures: Sequence[Architecture]) -> list[float]:
    """Latencies of whole networks on the table's device, in ms.

    Raises:
        UserError: the device or what runs networks there is not to be had.
    """
    from edgecmp.artefacts.latency_table import LatencyTable
    from edgecmp.benchmarks.devices import DeviceRunError

    try:
        from edgecmp.benchmarks.latency import measure_networks

        return list(measure_networks(LatencyTable.load(table), architectures))
    except DeviceRunError as error:
        raise UserError(
            f"The networks could not be run on the device ({error}).", "Look at it there."
        ) from error
    except ImportError as error:
        raise UserError(
            f"{error.name} is missing, which writes or runs the networks.",
            "Install it with `pip install 'edgecmp[export]'`.",
        ) from error
