"""`edgecmp bench`: how long one query takes on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecmp.cli.options import JsonFile, help_text, writable
from edgecmp.errors import UserError
from edgecmp.report import finish, on_interrupt

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
    "The size of the images is the file's own. If the file leaves it open, it comes from edgecmp's "
    "metadata, from the .toml file that describes it, or from --input-size.",
    "Cold is a new process that loads the model and runs it once; p50, p90 and p99 are of the "
    "later runs that no other process interrupted (the column statistic says which). The "
    "documentation explains every figure.",
    "A file that cannot be run has the reason in its rows, and the exit code is then 1, or 2 if "
    "not one of the files runs.",
    "--sustained and --single-stream measure one row after the other and write each finished row "
    "to the --json file. If such a bench is interrupted or the device is lost, rerun the command: "
    "it measures the missing rows. A row that was cut short is measured again from its start, "
    "because the device has cooled down meanwhile; until then the file has its curve so far.",
)


def _thread_counts(text: str) -> tuple[int, ...]:
    counts = text.split(",")
    if not all(count.strip().isdecimal() and int(count) > 0 for count in counts):
        raise UserError(
            f"--threads must list thread counts (got {text!r}).",
            "Write --threads 1 or --threads 1,2.",
        )
    return tuple(dict.fromkeys(int(count) for count in counts))


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
        typer.Option("--runtime", metavar="NAME", help="Use only this runtime, such as litert."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also profile every operator (LiteRT).")
    ] = False,
    sustained: Annotated[
        float | None,
        typer.Option(
            "--sustained",
            metavar="MIN",
            help="Run each row for this many minutes: latency over time, temperature, slowdown.",
        ),
    ] = None,
    single_stream: Annotated[
        bool,
        typer.Option("--single-stream", help="As MLPerf: p90 over at least 1024 queries and 60 s."),
    ] = False,
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input-size",
            metavar="N|HxW",
            help="Pixels of a side, or height x width, for files that do not fix them.",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            dir_okay=False,
            callback=writable,
            help="Draw each row's latencies, or curve, into this .png.",
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
    """Runs `edgecmp.bench`."""
    from edgecmp import api
    from edgecmp.benchmarks.bench.stated import parse_input_size

    counts = _thread_counts(threads)
    long = sustained is not None or single_stream
    kept = f"Finished rows are in {json_file}" if long and json_file else "Nothing was written"
    with on_interrupt(f"{kept}: rerun the command."):
        report = api.bench(
            files,
            device=device,
            threads=counts,
            runtime=runtime,
            sustained=sustained,
            single_stream=single_stream,
            profile=profile,
            compare=compare,
            keep=json_file,
            picture=picture,
            input_size=None if input_size is None else parse_input_size(input_size),
        )
    finish(report, json_file)
    if report.not_drawn is not None:
        raise report.not_drawn
    if any(row["verdict"] == "failed" for row in report.rows):
        raise typer.Exit(1)
