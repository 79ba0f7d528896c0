"""`edgecmp bench`: how long one query takes on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.errors import UserError
from edgecmp.report import finish, on_interrupt

if TYPE_CHECKING:
    from edgecmp.benchmarks import BenchReport

__all__ = ["HELP", "bench"]

HELP = help_text(
    "Measure latency and memory of exported files on a device.",
    (
        "edgecmp bench query.tflite query.onnx --json bench.json",
        "edgecmp bench --device ssh://pi@board --threads 1,4 query.tflite",
        "edgecmp bench --device 'adb?cpus=4-7' query.tflite",
        "edgecmp bench query.tflite --runtime litert --profile --picture bench.png",
        "edgecmp bench query.tflite --runtime litert --sustained 10 --json hot.json",
        "edgecmp bench query.tflite --single-stream --json mlperf.json",
        "edgecmp bench query.tflite --compare bench.json",
    ),
    "One image at a time. Cold is a new process that loads the model and runs it once; p50, p90 "
    "and p99 are of the runs after that which no other process interrupted (the column statistic "
    "says which). docs/bench.md explains every figure.",
    "--sustained and --single-stream measure one row after the other and keep each finished row in "
    "the --json file. If such a bench is killed or the device is lost, the same command goes on "
    "with the rows that are missing; the curve of a row that was cut short stays in the file until "
    "that row is measured anew, from its start, because the device has cooled down meanwhile.",
)

COLUMNS = {
    "warm": ("cold_ms", "p50_ms", "p90_ms", "p99_ms", "min_ms", "peak_memory_mb"),
    "sustained": (
        *("minutes", "busy_percent", "p50_ms", "first_window_ms", "last_window_ms"),
        *("slower_percent", "start_c", "end_c"),
    ),
    "single-stream": ("queries", "seconds", "p50_ms", "p90_ms", "p99_ms"),
}
"""Of each mode, the figures that fit a screen; the JSON has all."""


def _thread_counts(text: str) -> tuple[int, ...]:
    counts = text.split(",")
    if not all(count.strip().isdecimal() and int(count) > 0 for count in counts):
        raise UserError(
            f"{text!r} is no list of thread counts.",
            "Write them as in --threads 1 or --threads 1,2.",
        )
    return tuple(dict.fromkeys(int(count) for count in counts))


def _columns(report: BenchReport) -> Sequence[str]:
    compared = ("earlier_ms", "ratio") if report.earlier else ()
    own = COLUMNS[report.mode]
    return "file", "runtime", "threads", *own, *compared, "statistic", "verdict"


def bench(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Exported files.")],
    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="NAME",
            help="local, adb:SERIAL, ssh://user@host or coreml:NAME; see `edgecmp devices`.",
        ),
    ] = "local",
    threads: Annotated[
        str, typer.Option("--threads", metavar="N[,N]", help="Thread counts to measure.")
    ] = "1",
    runtime: Annotated[
        str | None,
        typer.Option("--runtime", metavar="NAME", help="Use this runtime alone, such as litert."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Where the time goes, operator by operator (LiteRT).")
    ] = False,
    sustained: Annotated[
        float | None,
        typer.Option(
            "--sustained",
            metavar="MIN",
            help="Run each row for so many minutes: the curve, the heat, how much slower it gets.",
        ),
    ] = None,
    single_stream: Annotated[
        bool,
        typer.Option(
            "--single-stream", help="As MLPerf: p90 over all of >= 1024 queries and >= 60 s."
        ),
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture", metavar="FILE", help="Draw each row's latencies, or curve, into this .png."
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="JSON",
            help="Ratio to an earlier bench; refused if device, governor, runtime or threads "
            "differ.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.benchmarks.bench.run`."""
    counts = _thread_counts(threads)
    if picture is not None and picture.suffix != ".png":
        raise UserError(f"{picture} is no .png file.", "Name a picture such as bench.png.")
    if compare is not None and json_file is not None and compare.resolve() == json_file.resolve():
        raise UserError(
            f"--compare and --json name the same file, {compare}.",
            "Name another --json file: the earlier bench would be overwritten.",
        )
    long = sustained is not None or single_stream
    kept = f"Finished rows are in {json_file}" if long and json_file else "Nothing was written"
    with on_interrupt(f"{kept}: run the same command again."):
        from edgecmp.benchmarks import BenchPlan
        from edgecmp.benchmarks import bench as run

        report = run(
            files,
            device=device,
            threads=counts,
            runtime=runtime,
            plan=BenchPlan.of(sustained=sustained, single_stream=single_stream),
            profiles=profile,
            compare=compare,
            keep=json_file,
        )
    finish(report, json_file, columns=_columns(report))
    _tell_more(report)
    if picture is not None:
        from edgecmp.benchmarks.bench.plot import draw_bench

        print(f"Wrote the picture: {draw_bench(report, picture)}")
    if any(row["verdict"] == "failed" for row in report.rows):
        raise typer.Exit(1)


def _tell_more(report: BenchReport) -> None:
    """What the table has no room for: rows without a ratio, and profiles."""
    for row in report.rows:
        if row.get("not_compared"):
            place = f"{row['file']} in {row['runtime']}, {row['threads'] or 'own'} threads"
            print(f"not compared: {place}: {row['not_compared']}")
    if report.profiles:
        from edgecmp.benchmarks.bench.profile import profile_text

        for told in report.profiles:
            print(f"\n{profile_text(told)}")
