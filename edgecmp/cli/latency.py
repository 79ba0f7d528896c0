"""`edgecmp latency build` and `check`: a table of what each choice costs on your device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text, writable
from edgecmp.report import finish, on_interrupt, show

__all__ = ["HELP", "app"]

HELP = help_text(
    "Measure what each choice of a search costs on your device. The result is a latency table, "
    "whose accuracy can be checked.",
    (
        "edgecmp latency build --device local --out local.json",
        "edgecmp latency check local.json --nets 50",
        "edgecmp search --budget 100M --latency 4ms --table local.json --out runs/search",
    ),
)

BUILD = help_text(
    "Measure a latency table on a device.",
    (
        "edgecmp latency build --device local --out local.json",
        "edgecmp latency build --device ssh://pi@raspberrypi.local --out pi.json",
        "edgecmp latency build --device adb:R58N12ABCDE --precision int8 --out phone-int8.json",
        "edgecmp latency build --device local --tier 330M --input-size 224 --out local-330M.json",
    ),
    "Each of the 320 distinct layers becomes a small file, lowered as complete networks are, and "
    "is timed in interleaved rounds; five complete networks set the scale. It takes a minute on a "
    "desktop. An interrupted measurement resumes when you rerun the command. Then run `edgecmp "
    "latency check` to see how accurate the table is.",
)

CHECK = help_text(
    "Compare a latency table with complete networks. They are measured on the table's device.",
    (
        "edgecmp latency check local.json",
        "edgecmp latency check local.json --nets 50 --json check.json",
        "edgecmp latency check local.json --architecture runs/search",
    ),
    "Random networks of the table's tier that it was not fitted to. mape is the mean error in "
    "percent, tau is Kendall's rank correlation, slowdown is how much longer the device takes than "
    "when the table was built; the second row is corrected for it. The picture is written beside "
    "the table.",
)

KEPT = "The measurements so far are kept: rerun the command to resume."

app = typer.Typer(rich_markup_mode=None, no_args_is_help=False)


@app.callback(invoke_without_command=True)
def latency(context: typer.Context) -> None:
    """Prints the help when no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("build", help=BUILD)
def build(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            dir_okay=False,
            callback=writable,
            help="The table, a .json file.",
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            "--device", metavar="NAME", help="local, ssh://user@host or adb:SERIAL; see `devices`."
        ),
    ] = "local",
    supernet: Annotated[
        Path | None,
        typer.Option(
            "--supernet",
            metavar="DIR",
            help="Take tier, input size and embedding from this supernet; the starter kit's if not "
            "given.",
        ),
    ] = None,
    tier: Annotated[
        str | None, typer.Option("--tier", metavar="330M|230M|100M", help="Another tier.")
    ] = None,
    input_size: Annotated[
        int | None, typer.Option("--input-size", metavar="PIXELS", help="Another input size.")
    ] = None,
    embedding_dim: Annotated[
        int | None,
        typer.Option(
            "--embedding-dim",
            metavar="N",
            help="Another number of embedding values: that of your gallery model.",
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="fp32|int8", help="Of the exported layers.")
    ] = "fp32",
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAME",
            help="litert, tflite-runtime or benchmark_model; the first that the device has if not "
            "given.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Of the runtime.")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.build_latency_table`."""
    from edgecmp import api

    with on_interrupt(KEPT):
        report = api.build_latency_table(
            out,
            device=device,
            supernet=supernet,
            tier=tier,
            input_size=input_size,
            embedding_dim=embedding_dim,
            precision=precision,
            runtime=runtime,
            threads=threads,
        )
    finish(report, json_file)
    show(f"Next: edgecmp latency check {out}")


@app.command("check", help=CHECK)
def check(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="From `edgecmp latency build`.")],
    nets: Annotated[
        int, typer.Option("--nets", metavar="N", help="Number of random networks.")
    ] = 50,
    architecture: Annotated[
        list[Path] | None,
        typer.Option(
            "--architecture",
            metavar="FILE|DIR",
            help="Measure this architecture instead; can be repeated.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.check_latency_table`."""
    from edgecmp import api

    with on_interrupt(KEPT):
        report = api.check_latency_table(table, nets=nets, architectures=architecture or ())
    finish(report, json_file)
