"""Worker processes: the history of a single process, and a clear error when one is killed."""

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
from edgecmp.search.evaluation.candidate import Measurement
from edgecmp.search.evaluation.parallelism import default_jobs
from edgecmp.search.evaluation.workers import Workers
from tests.fixtures.small_search import save_small_models, small_run
from tests.fixtures.toy_evaluator import ToyEvaluator

ARCHITECTURES = [Architecture.random("100M", seed=seed) for seed in range(5)]


@dataclass
class Killed(ToyEvaluator):
    """Its process is killed at one architecture, as when memory runs out."""

    fatal: str = ""

    def evaluate(self, architecture: Architecture) -> Measurement:
        if architecture.fingerprint == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(architecture)


def test_order_and_numbers_equal_one_process_until_a_worker_is_killed() -> None:
    *others, fatal = ARCHITECTURES
    alone = [ToyEvaluator().evaluate(one) for one in others]
    evaluator = Killed(seconds=0.01, fatal=fatal.fingerprint)
    with Workers(evaluator, 2) as workers:
        found = list(workers.measure(others))
        what = r"A worker process .* was terminated.*resume the search; --jobs 1"
        with pytest.raises(UserError, match=what):
            list(workers.measure([fatal]))
    assert [measurement for measurement, _ in found] == alone
    assert all(seconds >= 0.01 for _, seconds in found)
    assert evaluator.calls == 0  # nothing was evaluated in this process


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed() -> None:
    """By SIGKILL, which it cannot handle."""
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
        assert time.monotonic() < until, "a worker is still running"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_search_is_the_same_with_two_processes(tmp_path: Path) -> None:
    save_small_models(tmp_path)
    histories = []
    for jobs in (1, 2):
        out = tmp_path / f"jobs{jobs}"
        small_run(tmp_path, out, "100M", population=4, generations=2, jobs=jobs)
        histories.append((out / "history.jsonl").read_text())
    assert histories[0] == histories[1]
    assert len(histories[0].splitlines()) > 4


def test_invalid_jobs_and_the_default(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--jobs must be at least 1 \(got 0\)"):
        small_run(tmp_path, tmp_path / "out", jobs=0)
    assert default_jobs() >= 1
