"""Workers: processes that evaluate candidates in parallel and return them in order.

A second torch thread gains little on networks as small as subnets; a second process doubles the
evaluations per minute. Every number equals that of a single process bit for bit, because it depends
on the number of torch threads alone, which is the same in all processes.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch

from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search.evaluation.candidate import Evaluator, Measurement

__all__ = ["Workers"]

SIGNAL_S = 0.2
"""Time in which a signal to all processes of a command reaches each of them."""

Timed = tuple[Measurement, float]
"""A measurement and the seconds that it took."""


class Workers:
    """Measures architectures with an evaluator, `jobs` at a time.

    With one job, everything happens in this process. With more, worker processes start with the
    first architectures, each with a copy of the evaluator, and this process only waits. Workers end
    with this process, even if it is killed.

    Args:
        evaluator: measures architectures; it must be picklable for more than one job.
        jobs: number of processes, 1 or more.
    """

    def __init__(self, evaluator: Evaluator, jobs: int = 1) -> None:
        self.jobs = jobs
        self._evaluator = evaluator
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def measure(self, architectures: Sequence[Architecture]) -> Iterator[Timed]:
        """The measurement of each architecture and the seconds that it took, in their order.

        Raises:
            UserError: a worker process was terminated, as happens when memory runs out.
        """
        if self.jobs == 1:
            for architecture in architectures:
                yield _timed(self._evaluator, architecture)
            return
        try:
            pool = self._started_pool()
            futures: list[Future[Timed]] = [pool.submit(_measure, one) for one in architectures]
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            time.sleep(SIGNAL_S)  # if the signal was for this process too, it is interrupted here
            raise UserError(
                "A worker process of the search was terminated, probably because memory ran out.",
                f"Rerun the command to resume the search; --jobs {self.jobs - 1} needs less "
                "memory.",
            ) from error

    def _started_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.jobs,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_initialise,
                initargs=(pickle.dumps(self._evaluator), torch.get_num_threads()),
            )
        return self._pool


def _timed(evaluator: Evaluator, architecture: Architecture) -> Timed:
    start = time.perf_counter()
    measurement = evaluator.evaluate(architecture)
    return measurement, time.perf_counter() - start


_evaluators: list[Evaluator] = []
"""In a worker process, its one evaluator."""


def _initialise(evaluator: bytes, threads: int) -> None:
    """Sets up a worker. It ignores Ctrl-C, which the parent process handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _evaluators.append(pickle.loads(evaluator))


def _end_with_parent() -> None:
    """Ends this process after its parent, which cannot end it when it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _measure(architecture: Architecture) -> Timed:
    return _timed(_evaluators[0], architecture)
