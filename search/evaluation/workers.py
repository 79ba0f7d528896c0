"""Workers: candidates evaluated at once in processes of their own, in the order that was asked for.

A second torch thread gains little on networks as small as subnets are; a second process doubles
what is evaluated in a minute. Every number is the same as with one process, bit for bit, because an
evaluator's numbers depend on its number of threads alone, and all processes have the same.
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
from types import TracebackType

import torch

from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search.evaluation.candidate import Evaluator, Measurement

__all__ = ["WORTH_WORKERS", "Workers", "default_jobs"]

WORTH_WORKERS = 48
"""Evaluations from which on starting processes pays: each takes seconds to load torch."""

WORKER_BYTES = 2 * 2**30
"""What one takes at most in a search of the starter kit, without its share of the kept maps."""

Timed = tuple[Measurement, float]


def default_jobs() -> int:
    """One a torch thread, as many as fit into half of the memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(torch.get_num_threads(), memory // 2 // WORKER_BYTES))


class Workers:
    """Measures architectures with an evaluator, `jobs` at a time.

    With one job everything happens in this process. With more, each process gets a copy of the
    evaluator when the first architectures come, and this process only waits; they end with this
    one, however it ends.

    Args:
        evaluator: what measures; it must be picklable for more than one job.
        jobs: processes, 1 or more.
    """

    def __init__(self, evaluator: Evaluator, jobs: int = 1) -> None:
        self.jobs = jobs
        self._evaluator = evaluator
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def measure(self, architectures: Sequence[Architecture]) -> Iterator[Timed]:
        """Each architecture's measurement and the seconds that it took, in their order.

        Raises:
            UserError: a process ended before its work did, as it does when memory runs out.
        """
        if self.jobs == 1:
            for architecture in architectures:
                yield _timed(self._evaluator, architecture)
            return
        try:
            pool = self._opened()
            futures: list[Future[Timed]] = [pool.submit(_measure, one) for one in architectures]
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "A process of the search ended before its work did: memory may have run out.",
                f"Run the same command again, it goes on from there; --jobs {self.jobs - 1} needs "
                "less memory.",
            ) from error

    def _opened(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.jobs,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(pickle.dumps(self._evaluator), torch.get_num_threads()),
            )
        return self._pool


def _timed(evaluator: Evaluator, architecture: Architecture) -> Timed:
    start = time.perf_counter()
    measurement = evaluator.evaluate(architecture)
    return measurement, time.perf_counter() - start


_evaluators: list[Evaluator] = []
"""The one of this process, where it is a worker."""


def _begin(evaluator: bytes, threads: int) -> None:
    """Sets a worker up. Ctrl-C is for the process that gives out the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _evaluators.append(pickle.loads(evaluator))


def _end_with_parent() -> None:
    """Ends this process when the one that started it was killed: it could not say so itself."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _measure(architecture: Architecture) -> Timed:
    return _timed(_evaluators[0], architecture)
