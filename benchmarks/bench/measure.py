"""The visits of a bench: in rounds over all cases, or one case after the other for minutes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgecmp.benchmarks.bench.case import CHANGED, Case
from edgecmp.benchmarks.bench.plan import LEAST_QUERIES, LEAST_SECONDS, BenchPlan
from edgecmp.benchmarks.devices import (
    Device,
    DeviceKilledError,
    DeviceRunError,
    DeviceTimeoutError,
)
from edgecmp.benchmarks.devices.reasons import DAMAGED
from edgecmp.errors import UserError
from edgecmp.progress import Bar, duration, progress, say

__all__ = ["measure"]

LISTS = ("wall_us", "cpu_us", "switches")
"""The values per run, kept as arrays: half an hour of a fast model has millions of runs."""

PROBE_RUNS = 3
"""Runs that show, before a long measurement begins, that every file can run."""

LEAST_LEFT_S = 1.0
"""A sustained row ends early if less time than this is left for its last visit."""

MOST_STREAM_S = 3600.0
"""A single stream that has not completed its queries after this time has failed."""


def measure(
    cases: Sequence[Case], machine: Device, plan: BenchPlan, *, tolerant: bool = False
) -> Iterator[None]:
    """Adds visits to the cases; yields after each visit of a long measurement.

    Args:
        cases: what is measured.
        machine: where it is measured.
        plan: how it is measured.
        tolerant: whether every case may fail without an error.

    Raises:
        UserError: not one of the files runs in any runtime; the message has the reason of each.
        DeviceLostError: the connection broke; the cases keep the visits so far.
    """
    if not cases:
        return
    if not tolerant:
        _refuse_failed(cases)
    if plan.mode == "warm":
        _interleave(cases, machine, plan, tolerant=tolerant)
        return
    _probe(cases, machine, plan, tolerant=tolerant)
    active = [case for case in cases if case.verdict == "measured"]
    each_s = 60 * plan.minutes if plan.mode == "sustained" else LEAST_SECONDS
    say(
        f"Measuring {_count(active)} of file, runtime and threads on {machine.name}, one after the "
        f"other: {'at least ' * (plan.mode == 'single-stream')}{duration(each_s)} each."
    )
    text = "Sustained" if plan.mode == "sustained" else "Single stream"
    with progress(text, total=round(each_s * len(active)), unit="second") as bar:
        for case in active:
            if plan.mode == "sustained":
                yield from _sustain(case, machine, plan, bar)
            else:
                _stream(case, machine, plan)
                bar.advance(round(each_s))
                yield


def _count(cases: Sequence[Case]) -> str:
    return f"{len(cases)} combination{'s' * (len(cases) != 1)}"


def _interleave(cases: Sequence[Case], machine: Device, plan: BenchPlan, *, tolerant: bool) -> None:
    """Visits every case once per round, for an equal share of the runs."""
    runs = plan.runs // plan.rounds
    active = [case for case in cases if case.verdict == "measured"]
    say(
        f"Timing {_count(active)} of file, runtime and threads on {machine.name}: "
        f"{plan.rounds} rounds of {runs} runs."
    )
    with progress("Timing", total=plan.rounds * len(cases), unit="visit") as bar:
        for number in range(plan.rounds):
            for case in cases:
                _visit(case, machine, runs=runs, seed=plan.seed + number)
                bar.advance(1)
            if number == 0 and not tolerant:
                _refuse_failed(cases)


def _probe(cases: Sequence[Case], machine: Device, plan: BenchPlan, *, tolerant: bool) -> None:
    """A few runs per case that do not count, so that a file that cannot run fails at the start."""
    for case in cases:
        _visit(case, machine, runs=PROBE_RUNS, seed=plan.seed)
        case.visits.clear()
    if not tolerant:
        _refuse_failed(cases)


def _sustain(case: Case, machine: Device, plan: BenchPlan, bar: Bar) -> Iterator[None]:
    """Visits one case repeatedly until its minutes have passed."""
    case.verdict = "cut short"
    start_s = time.monotonic()
    total_s, shown_s = 60 * plan.minutes, 0
    while case.verdict == "cut short":
        left_s = total_s - (time.monotonic() - start_s)
        if case.visits and left_s < LEAST_LEFT_S:
            break
        left_s = min(plan.visit_s, left_s)
        _visit(case, machine, runs=1, seed=plan.seed, seconds=left_s, least_seconds=left_s)
        now_s = round(min(total_s, time.monotonic() - start_s))
        bar.advance(now_s - shown_s)
        shown_s = now_s
        yield
    if case.verdict == "cut short":
        case.verdict = "measured"
        yield


def _stream(case: Case, machine: Device, plan: BenchPlan) -> None:
    """One visit of at least `LEAST_QUERIES` queries and `LEAST_SECONDS`."""
    _visit(
        case,
        machine,
        runs=LEAST_QUERIES,
        seed=plan.seed,
        seconds=MOST_STREAM_S,
        least_seconds=LEAST_SECONDS,
    )
    if case.verdict == "measured" and case.visits[0]["wall_us"] is not None:
        queries = len(case.visits[0]["wall_us"])
        if queries < LEAST_QUERIES:
            case.verdict = "failed"
            case.reason = f"only {queries} queries in {duration(MOST_STREAM_S)}"


def _visit(
    case: Case,
    machine: Device,
    *,
    runs: int,
    seed: int,
    seconds: float = 60.0,
    least_seconds: float = 0.0,
) -> None:
    """Times a case once, unless it has failed already; a failure becomes its verdict and reason."""
    if case.verdict == "failed":
        return
    begin_s = time.monotonic()
    try:
        document = machine.time_model(
            case.file,
            runtime=case.runtime,
            threads=case.threads or 1,
            runs=runs,
            seed=seed,
            seconds=seconds,
            least_seconds=least_seconds,
            input_size=case.input_size,
        )
    except DeviceKilledError as error:
        if case.visits:  # so it has run before, and the same command resumes
            raise
        case.verdict, case.reason = "failed", error.what.rstrip(".")
    except DeviceRunError as error:
        case.verdict, case.reason = "failed", str(error)
        case.timed_out = isinstance(error, DeviceTimeoutError)
    else:
        case.visits.append(
            document
            | {name: np.asarray(document[name]) for name in LISTS if document[name] is not None}
            | {"from_s": begin_s, "to_s": time.monotonic()}
        )


def _refuse_failed(cases: Sequence[Case]) -> None:
    """Refuses files of which not one runs in any runtime, with the reason of each."""
    tried = [case for case in cases if case.verdict != "not run"]
    if any(case.verdict != "failed" or case.timed_out for case in tried):
        return
    reasons: dict[Path, dict[str, list[str]]] = {}
    for case in tried:
        runtimes = reasons.setdefault(case.file, {}).setdefault(case.reason, [])
        if case.runtime not in runtimes:
            runtimes.append(case.runtime)
    texts = [f"{path} cannot be timed: {_listed(those)}" for path, those in reasons.items()]
    broken = all(case.reason.startswith((DAMAGED, CHANGED)) for case in tried)
    raise UserError(
        f"{'; '.join(texts)}.",
        "Copy it again, or write it again with the command that made it."
        if broken
        else "Correct what is named, then run the same command again.",
    )


def _listed(reasons: Mapping[str, Sequence[str]]) -> str:
    """The only reason, or each one behind the runtimes that it comes from."""
    if len(reasons) == 1:
        return next(iter(reasons))
    return ", ".join(f"{' and '.join(those)}: {reason}" for reason, those in reasons.items())
