"""`edgecmp bench`: how long one query takes on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.cli.output import finish, on_interrupt
from edgecmp.errors import UserError

__all__ = ["HELP", "bench"]

HELP = help_text(
    "Measure latency and memory of exported files on a device.",
    (
        "edgecmp bench --device local query.tflite query.onnx",
        "edgecmp bench --device local --threads 1,2 query.tflite --json bench.json",
        "edgecmp bench --device 'adb?cpus=4-7' query.tflite",
    ),
    "One image at a time, after a warm-up; p50 is the median. Let nothing else run meanwhile.",
)

COLUMNS = (
    *("file", "runtime", "threads", "p50_ms", "p90_ms", "min_ms"),
    *("peak_memory_mb", "verdict"),
)


def _thread_counts(text: str) -> tuple[int, ...]:
    counts = text.split(",")
    if not all(count.strip().isdecimal() and int(count) > 0 for count in counts):
        raise UserError(
            f"{text!r} is no list of thread counts.",
            "Write them as in --threads 1 or --threads 1,2.",
        )
    return tuple(dict.fromkeys(int(count) for count in counts))


def bench(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Exported files.")],
    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="NAME",
            help="local, adb:SERIAL or ssh://user@host; see `edgecmp devices`.",
        ),
    ] = "local",
    threads: Annotated[
        str, typer.Option("--threads", metavar="N[,N]", help="Thread counts to measure.")
    ] = "1",
    json_file: JsonFile = None,
) -> None:
    """Runs `edgecmp.benchmarks.bench`."""
    counts = _thread_counts(threads)
    with on_interrupt("Nothing was written: run the same command again."):
        from edgecmp.benchmarks import bench as run

        report = run(files, device=device, threads=counts)
    finish(report, json_file, columns=COLUMNS)
    if any(row["verdict"] == "failed" for row in report.rows):
        raise typer.Exit(1)
