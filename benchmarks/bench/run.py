"""`edgecmp bench`: how long a model takes on a device, measured so that a busy machine cannot lie.

Each visit runs in a process of its own. In a warm bench the visits go round over all files,
runtimes and thread counts, so that drift (heat, other load) hits all alike; in a sustained bench
and a single stream one row is measured after the other. `statistic.py` says which runs count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecmp.benchmarks.bench.case import all_cases, existing
from edgecmp.benchmarks.bench.compare import Earlier
from edgecmp.benchmarks.bench.measure import measure
from edgecmp.benchmarks.bench.plan import BenchPlan
from edgecmp.benchmarks.bench.profile import file_profile
from edgecmp.benchmarks.bench.report import BenchReport, finished_rows
from edgecmp.benchmarks.bench.rows import row
from edgecmp.benchmarks.devices import open_device
from edgecmp.errors import UserError
from edgecmp.files import write_json

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
) -> BenchReport:
    """Times model files on a device, in every runtime there that loads them.

    Args:
        files: .tflite, .onnx or .mlpackage files.
        device: name of the device; "local" is this machine.
        threads: thread counts to measure, each for itself.
        runtime: the only one to use; all if not given.
        plan: how each row is measured; 200 warm runs if not given.
        profiles: whether LiteRT profiles the operators of each .tflite file as well.
        compare: an earlier bench's JSON: each row gets its ratio.
        keep: where rows are kept as they are finished; an interrupted bench of the same device,
            files and plan that lies there is gone on with.

    Raises:
        UserError: a file is missing, of no known kind or runs nowhere, there is no such device or
            runtime, or the earlier bench was made under other conditions.
    """
    plan = plan or BenchPlan()
    if not files or not threads or min(threads) < 1:
        raise UserError(
            "A bench needs at least one file and one thread.", "Name the files: q.tflite q.onnx."
        )
    paths = [existing(Path(file)) for file in files]
    earlier = Earlier.read(compare) if compare is not None else None
    with open_device(device) as machine:
        facts = {"name": device, **machine.facts}
        cases = all_cases(paths, threads, facts, device=device, runtime=runtime)
        if earlier is not None:
            earlier.refuse_other_conditions(cases, facts, plan)
        finished = finished_rows(keep, cases, facts, plan)
        missing = [
            case for case in cases if case.verdict == "measured" and case.key not in finished
        ]
        sound = [case.file for case in cases if case.key in finished or runtime is not None]
        for _ in measure(missing, machine, plan, sound=sound):
            if keep is not None and plan.mode != "warm":
                so_far = [case for case in cases if case.visits or case.key in finished]
                report = BenchReport(
                    rows=[finished.get(case.key) or row(case, plan) for case in so_far],
                    device=facts,
                    settings=plan.to_dict(),
                    complete=False,
                )
                write_json(keep, report.to_dict())
        rows = [finished.get(case.key) or row(case, plan) for case in cases]
        told = [file_profile(path, machine) for path in paths] if profiles else []
    return BenchReport(
        rows=rows if earlier is None else earlier.compare(rows, plan),
        device=facts,
        settings=plan.to_dict(),
        profiles=told,
        earlier=None if compare is None else str(compare),
    )
