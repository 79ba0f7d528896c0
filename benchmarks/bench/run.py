"""`edgecmp bench`: the latency of models on a device, robust to other load on the machine.

Each visit is a series of runs in a separate process. In a warm bench the visits alternate between
all files, runtimes and thread counts, so that drift (heat, other load) affects all of them alike;
in a sustained bench and a single stream one row is measured after the other.
`edgecmp.benchmarks.bench.statistic` says which runs count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.bench.case import Case, all_cases, require_model_file
from edgecmp.benchmarks.bench.compare import Earlier
from edgecmp.benchmarks.bench.measure import measure
from edgecmp.benchmarks.bench.plan import BenchPlan
from edgecmp.benchmarks.bench.profile import file_profile
from edgecmp.benchmarks.bench.report import BenchReport, finished_rows
from edgecmp.benchmarks.bench.rows import row
from edgecmp.benchmarks.devices import Device, open_device
from edgecmp.errors import UserError
from edgecmp.files import write_json
from edgecmp.progress import say
from edgecmp.storage import check_writable

__all__ = ["bench"]


def bench(
    files: Sequence[str | Path],
    *,
    device: str = "local",
    threads: Sequence[int] = (1,),
    runtime: str | None = None,
    plan: BenchPlan | None = None,
    profiles: bool = False,
    compare: Path | None = None,
    keep: Path | None = None,
    picture: Path | None = None,
) -> BenchReport:
    """Times model files on a device, in every runtime there that loads them.

    Args:
        files: .tflite, .onnx or .mlpackage files.
        device: name of the device; "local" is this machine.
        threads: thread counts, which are measured separately.
        runtime: the only runtime to use; all if None.
        plan: how each row is measured; 200 warm runs if None.
        profiles: whether LiteRT also profiles the operators of each .tflite file.
        compare: the JSON of an earlier bench, to which each row is compared.
        keep: the JSON file to which finished rows are written; if it contains an interrupted bench
            of the same device, files and plan, that bench is resumed.
        picture: the .png file to draw: the distribution of each row, or its curve. If it cannot be
            drawn, the report says so.

    Raises:
        UserError: a file is missing or of an unknown kind; not one of the files runs; the device or
            runtime is unknown; the earlier bench was measured under different conditions; or a
            file to write cannot be written.
    """
    plan = plan or BenchPlan()
    if not files:
        raise UserError("No file was given.", "Name one or more: edgecmp bench q.tflite q.onnx.")
    if not threads or min(threads) < 1:
        given = ", ".join(map(str, threads)) or "none"
        raise UserError(f"--threads must be at least 1 (got {given}).", "Use --threads 1,2.")
    if picture is not None and picture.suffix != ".png":
        raise UserError(
            f"--picture must be a .png file (got {picture}).", "Use a name such as bench.png."
        )
    if compare is not None and keep is not None and compare.resolve() == keep.resolve():
        raise UserError(
            f"--compare and --json name the same file, {compare}.",
            "Name another --json file, since the earlier bench would be overwritten.",
        )
    for file in (keep, picture):
        if file is not None:
            check_writable(file)
    paths = [require_model_file(path) for path in dict.fromkeys(map(Path, files))]
    earlier = Earlier.read(compare) if compare is not None else None
    with open_device(device) as machine:
        facts = {"name": device, **machine.facts}
        cases = all_cases(
            paths, threads, facts, device=device, runtime=runtime, input_size=plan.input_size
        )
        if earlier is not None:
            earlier.refuse_other_conditions(cases, facts, plan)
        rows = _measured_rows(cases, machine, facts, plan, keep, tolerant=runtime is not None)
        failed = {case.file for case in cases if case.verdict == "failed"}
        failed -= {case.file for case in cases if case.verdict not in ("failed", "not run")}
        measured_profiles = [
            file_profile(path, machine, refused=path in failed) for path in paths if profiles
        ]
    report = BenchReport(
        rows=rows if earlier is None else earlier.compare(rows, plan),
        device=facts,
        settings=plan.to_dict(),
        profiles=measured_profiles,
        earlier=None if compare is None else str(compare),
    )
    if picture is None:
        return report
    from edgecmp.benchmarks.bench.plot import draw_bench

    try:
        return replace(report, picture=draw_bench(report, picture))
    except UserError as error:  # which must not lose what was measured
        return replace(report, not_drawn=error)


def _measured_rows(
    cases: Sequence[Case],
    machine: Device,
    facts: dict[str, Any],
    plan: BenchPlan,
    keep: Path | None,
    *,
    tolerant: bool,
) -> list[dict[str, Any]]:
    """The row of each case: read from `keep` if it is finished there, otherwise measured.

    Args:
        cases: all cases of the bench.
        machine: where they are measured.
        facts: facts of the device, with its name.
        plan: how they are measured.
        keep: see `bench`.
        tolerant: whether it is no error if not one of the files runs.
    """
    finished = finished_rows(keep, cases, facts, plan)
    missing = [case for case in cases if case.verdict != "not run" and case.key not in finished]
    told = False

    def rows_of(some: Sequence[Case]) -> list[dict[str, Any]]:
        return [finished.get(case.key) or row(case, plan) for case in some]

    for _ in measure(missing, machine, plan, tolerant=tolerant or bool(finished)):
        if keep is not None and plan.mode != "warm":
            begun = [case for case in cases if case.visits or case.key in finished]
            report = BenchReport(
                rows=rows_of(begun), device=facts, settings=plan.to_dict(), complete=False
            )
            try:
                write_json(keep, report.to_dict())
            except UserError as error:  # the rows are still in memory, and are printed at the end
                if not told:
                    say(f"{error.what} Measuring continues.")
                told = True
    return rows_of(cases)
