"""`edgecmp parity`: does the device find what the server would find?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecmp.cli.options import Data, Index, JsonFile, QueryModel, help_text
from edgecmp.report import finish, on_interrupt, table_text

if TYPE_CHECKING:
    from edgecmp.export import ParityReport

__all__ = ["HELP", "parity"]

HELP = help_text(
    "Prove that the device finds what the server would find.",
    (
        "edgecmp parity query.tflite query.onnx query.mlpackage",
        "edgecmp parity query.tflite --model runs/query --index runs/index --json parity.json",
        "edgecmp parity query.tflite --picture parity.png",
        "edgecmp parity query.tflite --model query.onnx",
        "edgecmp parity other.toml --model runs/query",
        "edgecmp parity query.tflite --device ssh://pi@raspberrypi --limit 50",
    ),
    "Embeds the real test queries with each file in its real runtime and ranks the server's "
    "gallery by them. Where a file fails, the cause is looked for: swapped colours, an input that "
    "is normalised twice, the first layer that departs. Exit code 0 if something was run and "
    "nothing failed, else 1.",
)

COLUMNS = (
    *("target", "precision", "input", "runtime", "size_mb", "min_cosine", "p1_cosine"),
    *("mean_cosine", "top1_agreement", "delta_top10", "delta_tar", "rule", "latency_ms"),
    "verdict",
)

STAGE_COLUMNS = (
    *("stage", "min_cosine", "delta_top10", "mqg_top10", "mqq_top10", "difference", "rule"),
    "verdict",
)


def _with_interval(row: Mapping[str, Any], figure: str, low: str, high: str) -> str | None:
    """A figure and its interval as one cell: "-0.18 (-0.44, +0.09)"."""
    if row[low] is None:
        return None
    return f"{row[figure]:+.2f} ({row[low]:+.2f}, {row[high]:+.2f})"


@dataclass(frozen=True)
class _Shown:
    """The report with cells for people; its JSON stays as it is."""

    rows: list[dict[str, Any]]
    report: ParityReport

    @classmethod
    def of(cls, report: ParityReport) -> _Shown:
        """Intervals beside their figures."""
        figures = ("delta_top10", "delta_tar")
        rows = [
            row
            | {name: _with_interval(row, name, f"{name}_low", f"{name}_high") for name in figures}
            for row in report.rows
        ]
        return cls(rows, report)

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return self.report.to_dict()


def _print_stages(report: ParityReport) -> None:
    rows = []
    for stage in report.stages:
        difference = stage["mqg_top10"] - stage["mqq_top10"]
        given = stage | {"difference": difference}
        rows.append(
            stage | {"difference": _with_interval(given, "difference", "rule_low", "rule_high")}
        )
    print("Before any file: the compatibility rule M(q,g) > M(q,q) at top-10, stage by stage.")
    print(table_text(rows, columns=STAGE_COLUMNS, width=120))
    for stage in report.stages:
        if stage["reason"]:
            print(f"{stage['verdict']}: stage {stage['stage']}: {stage['reason']}")
    print()


def parity(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
            help="Exported files; for an ONNX file from elsewhere its .toml description.",
        ),
    ],
    model: QueryModel = None,
    index: Index = None,
    data: Data = "emoji",
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture", metavar="FILE", help="Draw cosines and rank changes into this .png."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="NAME", help="Run the files on this device too, ssh://user@host."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", help="Use N queries, evenly drawn from all."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.export.parity.run`."""
    with on_interrupt("Nothing was written: run the same command again."), ExitStack() as stack:
        from edgecmp.export import parity as run

        machine = None
        if device is not None:
            from edgecmp.benchmarks.devices import open_device

            machine = stack.enter_context(open_device(device))
        report = run(
            files,
            model=model,
            index=index,
            data=data,
            limit=limit,
            machine=machine,
            picture=picture,
        )
    _print_stages(report)
    wrote = [("the picture", Path(report.picture))] if report.picture else []
    finish(_Shown.of(report), json_file, columns=COLUMNS, wrote=wrote)
    print(
        f"{report.queries} queries, {report.gallery} gallery images; "
        f"the network itself finds {report.torch_top1:.2f} at top-1, "
        f"{report.torch_top10:.2f} at top-10, "
        f"TAR@FAR=1e-3 {report.torch_tar:.2f}. Changes are in points, with 95 % intervals; "
        "rule: level means that these queries cannot tell M(q,g) and M(q,q) apart."
    )
    if not report.passed:
        raise typer.Exit(1)
