"""Processes that evaluate at once: same history as one alone, and clear words when one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecmp import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search import run
from edgecmp.search.evaluation.candidate import Measurement
from edgecmp.search.evaluation.workers import Workers, default_jobs
from tests.fixtures.small_search import save_tiny_models
from tests.fixtures.toy_evaluator import ToyEvaluator

ARCHITECTURES = [Architecture.random("100M", seed=seed) for seed in range(5)]


@dataclass
class Mortal(ToyEvaluator):
    """Its process is killed at one architecture, as the system does when memory is short."""

    fatal: str = ""

    def evaluate(self, architecture: Architecture) -> Measurement:
        if architecture.fingerprint == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(architecture)


def test_order_and_numbers_are_those_of_one_process_until_one_is_killed() -> None:
    *sound, fatal = ARCHITECTURES
    alone = [ToyEvaluator().evaluate(one) for one in sound]
    evaluator = Mortal(seconds=0.01, fatal=fatal.fingerprint)
    with Workers(evaluator, 2) as workers:
        found = list(workers.measure(sound))
        with pytest.raises(UserError, match=r"of the search ended.*it goes on.*--jobs 1"):
            list(workers.measure([fatal]))
    assert [measurement for measurement, _ in found] == alone
    assert all(seconds >= 0.01 for _, seconds in found)
    assert evaluator.calls == 0  # nothing was evaluated in this process


def test_processes_end_with_the_one_that_started_them() -> None:
    """By SIGKILL, which it cannot answer."""
    program = (
        "from edgecmp.search.evaluation.workers import Workers\n"
        "from tests.fixtures.toy_evaluator import ToyEvaluator\n"
        "from edgecmp.networks.architecture import Architecture\n"
        "if __name__ == '__main__':\n"
        "    with Workers(ToyEvaluator(), 2) as workers:\n"
        "        next(workers.measure([Architecture.random('100M', seed=0)] * 2))\n"
        "        print(*workers._pool._processes, flush=True)\n"
        "        import time; time.sleep(60)\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root) as it:
        assert it.stdout is not None
        workers = [int(number) for number in it.stdout.readline().split()]
        assert len(workers) == 2
        it.kill()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < until, "a worker outlived its search"
        time.sleep(0.05)


def test_a_search_is_the_same_with_two_processes(tmp_path: Path) -> None:
    save_tiny_models(tmp_path)
    histories = []
    for jobs in (1, 2):
        out = tmp_path / f"jobs{jobs}"
        run(
            "100M",
            out=out,
            supernet=tmp_path / "supernet",
            gallery=tmp_path / "gallery",
            data="tiny-emoji",
            population=4,
            generations=2,
            jobs=jobs,
        )
        histories.append((out / "history.jsonl").read_text())
    assert histories[0] == histories[1]
    assert len(histories[0].splitlines()) > 4


def test_no_jobs_and_the_default(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 jobs evaluate nothing"):
        run("100M", out=tmp_path, jobs=0)
    assert default_jobs() >= 1
