"""`edgecmp latency build` and `check`: a table of what each choice costs on your device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.errors import UserError
from edgecmp.report import finish, on_interrupt

__all__ = ["HELP", "app"]

HELP = help_text(
    "Measure what every choice of the search costs on your device, and how far to trust that.",
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
    "Each of the 320 distinct layers becomes a small file, lowered as whole networks are, and is "
    "timed in interleaved rounds; five whole networks set the scale. It takes a minute on a "
    "desktop. A measurement that was stopped, by whatever, goes on when the same command runs "
    "again. Then `edgecmp latency check` says how far the table is off.",
)

CHECK = help_text(
    "Compare a latency table with whole networks, measured on the same device.",
    (
        "edgecmp latency check local.json",
        "edgecmp latency check local.json --nets 50 --json check.json",
        "edgecmp latency check local.json --architecture runs/search",
    ),
    "Random networks of the table's tier that it was not fitted to. mape is the mean error in "
    "percent, tau how alike the two orders are, slowdown how much longer the device takes than "
    "when the table was built; the second line is corrected for it. The picture lies beside the "
    "table.",
)

COLUMNS = ("latency", "nets", "mape", "max_error", "within_5", "within_10", "tau", "slowdown")

app = typer.Typer(rich_markup_mode=None, no_args_is_help=False)


@app.callback(invoke_without_command=True)
def latency(context: typer.Context) -> None:
    """Prints the help when no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("build", help=BUILD)
def build(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The table, a .json file.")],
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
        str | None, typer.Option("--tier", metavar="NAME", help="Another tier: 330M, 230M, 100M.")
    ] = None,
    input_size: Annotated[
        int | None, typer.Option("--input-size", metavar="PIXELS", help="Another input size.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME", help="fp32 or int8.")
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
    """Runs `edgecmp.benchmarks.latency.build`."""
    with on_interrupt("What was measured is kept: run the same command again and it goes on."):
        from edgecmp import kit
        from edgecmp.artefacts.bundle import SupernetBundle
        from edgecmp.benchmarks.latency import build as run
        from edgecmp.benchmarks.latency.picture import draw_table
        from edgecmp.networks.tiers import tier as tier_named

        if input_size is not None and input_size < 32:
            raise UserError(
                f"Images of {input_size} pixels are too small for the networks.",
                "Use an --input-size of 32 or more.",
            )
        shape = SupernetBundle.load(supernet or kit.path("supernet")).network
        chosen = tier_named(tier or shape.tier).name
        table = run(
            out,
            device=device,
            tier=chosen,
            input_size=input_size or shape.input_size,
            embedding_dim=shape.embedding_dim,
            precision=precision,
            runtime=runtime,
            threads=threads,
        )
        picture = draw_table(table, out.with_suffix(".png"))
    finish(
        _Built(table.to_dict()),
        json_file,
        wrote=[("the table", out), ("the picture", picture)],
    )
    print(f"Next: edgecmp latency check {out}")


class _Built:
    """What `build` prints: the table in a line."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        entries = [entry["ms"] for entry in document["entries_ms"]]
        kept = ("device", "tier", "input_size", "precision", "runtime", "version", "threads")
        self.rows = [
            {
                **{key: document[key] for key in kept},
                "fastest_layer_ms": min(entries),
                "slowest_layer_ms": max(entries),
                "scale": document["scale"],
                "bias_ms": document["bias_ms"],
            }
        ]

    def to_dict(self) -> dict[str, Any]:
        """The table's own document."""
        return self._document


@app.command("check", help=CHECK)
def check(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="From `edgecmp latency build`.")],
    nets: Annotated[
        int, typer.Option("--nets", metavar="N", help="How many random networks to measure.")
    ] = 50,
    architecture: Annotated[
        list[Path] | None,
        typer.Option(
            "--architecture",
            metavar="FILE|DIR",
            help="Measure this architecture instead; may be given several times.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.benchmarks.latency.check`."""
    with on_interrupt("What was measured is kept: run the same command again and it goes on."):
        from edgecmp.benchmarks.latency import check as run
        from edgecmp.benchmarks.latency.picture import draw_check
        from edgecmp.networks.form import searched

        chosen = [searched(path) for path in architecture or ()]
        report = run(table, nets=nets, architectures=chosen)
        wrote = []
        if chosen:
            for path, net in zip(architecture or (), report.nets, strict=True):
                print(
                    f"{path}: {net['measured_ms']:.3f} ms measured, {net['predicted_ms']:.3f} ms "
                    f"by the table ({net['error']:+.1f} %)"
                )
        else:
            picture = draw_check(report, table.with_suffix(".check.png"))
            wrote = [("the picture", picture), ("these figures into the table", table)]
    finish(report, json_file, columns=COLUMNS, wrote=wrote)
