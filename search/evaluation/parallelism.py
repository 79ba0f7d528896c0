"""How many processes evaluate at once, and with how many torch threads each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch

__all__ = ["Parallelism", "default_jobs", "torch_threads"]

MIN_PARALLEL_EVALUATIONS = 48
"""Fewer evaluations run in one process: starting workers, which load torch, takes seconds."""

WORKER_BYTES = 2 * 2**30
"""The most memory of a worker in a search of the starter kit, without cached feature maps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parallelism:
    """Processes and threads of a search.

    Attributes:
        jobs: processes that evaluate at once.
        threads: torch threads of each; sums are rounded differently with another number.
    """

    jobs: int
    threads: int

    @classmethod
    def choose(cls, *, jobs: int | None, evaluations: int, threads: int | None) -> Self:
        """What to use for a search.

        Args:
            jobs: as the user asked; None for a default that depends on the machine.
            evaluations: about how many the search needs.
            threads: that a resumed search was started with; None for a new search.
        """
        if jobs is None:
            parallel = evaluations >= MIN_PARALLEL_EVALUATIONS
            jobs = max(1, default_jobs() // (threads or 1)) if parallel else 1
        return cls(jobs=jobs, threads=threads or max(1, torch.get_num_threads() // jobs))


def default_jobs() -> int:
    """One process per torch thread, but only as many as fit into half of the memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(torch.get_num_threads(), memory // 2 // WORKER_BYTES))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Sets the number of torch threads within a `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
