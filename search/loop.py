"""The search loop: ask the strategy, evaluate or read from the history, tell the strategy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from edgecmp.progress import Bar, duration, progress
from edgecmp.search.evaluation.candidate import Candidate, Evaluator, architecture_of
from edgecmp.search.evaluation.workers import Workers
from edgecmp.search.results.history import NETWORK_FIELDS, History
from edgecmp.search.settings import SearchSettings
from edgecmp.search.space.constraint import Constraint
from edgecmp.search.space.space import Space
from edgecmp.search.strategies.base import Strategy, best_first
from edgecmp.wording import counted

__all__ = ["SearchOutcome", "search"]

TIMED_EVALUATIONS = 3
"""New evaluations after which the time that remains is estimated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOutcome:
    """What a search found.

    Attributes:
        ranked: every evaluated candidate, best first.
        new: number of candidates evaluated by this run; the others were in the history.
        exhausted: the space has no architectures that were not evaluated.
        seconds: wall time of this run.
        seconds_each: median time of an evaluation of this run; None if there was none.
    """

    ranked: tuple[Candidate, ...]
    new: int
    exhausted: bool
    seconds: float
    seconds_each: float | None

    @property
    def winner(self) -> Candidate:
        """The best candidate."""
        return self.ranked[0]


def search(
    evaluator: Evaluator,
    budget: Constraint | Space,
    settings: SearchSettings,
    *,
    history: Path,
    smaller: Sequence[Constraint | Space] = (),
    jobs: int = 1,
) -> SearchOutcome:
    """Runs a search to its end, resuming it where `history` ends.

    Args:
        evaluator: measures candidates.
        budget: what all candidates satisfy.
        settings: what is maximised, and how.
        history: the history's file.
        smaller: smaller budgets that are searched too, if the strategy supports several.
        jobs: processes that evaluate at once, see `Workers`; they change no number.

    Raises:
        UserError: the history belongs to another search or was changed, or a worker process was
            terminated.
    """
    spaces = [Space.of(bound) for bound in (budget, *smaller)]
    about: dict[str, Any] = {
        "budget": spaces[0].to_dict(),
        **({"tighter": [space.to_dict() for space in spaces[1:]]} if smaller else {}),
        **settings.to_dict(),
        "evaluator": evaluator.to_dict(),
    }
    strategy = settings.strategy.build(spaces, reward=settings.reward, seed=settings.seed)
    network = {name: getattr(evaluator, name) for name in NETWORK_FIELDS}
    with History.opened(history, about, network) as log, Workers(evaluator, jobs) as workers:
        return _Search(workers, evaluator, spaces[0], settings, strategy, log).run()


class _Search:
    """One run: candidates of the history first, then new ones."""

    def __init__(
        self,
        workers: Workers,
        evaluator: Evaluator,
        space: Space,
        settings: SearchSettings,
        strategy: Strategy[Any],
        log: History,
    ) -> None:
        self._workers = workers
        self._evaluator = evaluator
        self._space = space
        self._settings = settings
        self._strategy = strategy
        self._log = log
        self._recorded = tuple(log.candidates)
        self._done = 0
        self._times: list[float] = []

    def run(self) -> SearchOutcome:
        start = time.perf_counter()
        strategy = self._strategy
        with progress("Searching", total=self._expected(), unit="architecture") as bar:
            if self._recorded:
                bar.note(f"Resuming: {counted(len(self._recorded), 'candidate')} in the history.")
            for generation in range(1, self._settings.strategy.generations + 1):
                candidates = self._evaluated(generation, strategy.ask(generation).tolist(), bar)
                if candidates:
                    strategy.tell(candidates)
                    bar.note(self._report(generation, len(candidates)))
                if strategy.exhausted:
                    break
        if self._done < len(self._recorded):
            raise self._log.changed(self._done)
        return SearchOutcome(
            ranked=tuple(best_first(self._log.candidates, self._settings.reward)),
            new=len(self._log.candidates) - len(self._recorded),
            exhausted=strategy.exhausted,
            seconds=time.perf_counter() - start,
            seconds_each=median(self._times) if self._times else None,
        )

    def _evaluated(self, generation: int, rows: list[list[int]], bar: Bar) -> list[Candidate]:
        """The candidates of a generation: those in the history, then new ones, which are logged."""
        candidates = list(self._replayed(generation, rows, bar))
        rows = rows[len(candidates) :]
        sizes = [self._space.input_size(genes) for genes in rows]
        architectures = [
            architecture_of(genes, self._evaluator, size)
            for genes, size in zip(rows, sizes, strict=True)
        ]
        measurements = self._workers.measure(architectures)
        for genes, size, (measurement, seconds) in zip(rows, sizes, measurements, strict=True):
            candidate = Candidate(
                generation=generation,
                index=len(candidates),
                genes=tuple(genes),
                flops=self._flops(genes),
                metric=self._settings.metric,
                measurement=measurement,
                input_size=size,
            )
            self._log.append(candidate)
            candidates.append(candidate)
            self._times.append(seconds)
            if len(self._times) == TIMED_EVALUATIONS:
                bar.note(self._remaining())
            self._advance(bar)
        return candidates

    def _replayed(
        self, generation: int, rows: Sequence[Sequence[int]], bar: Bar
    ) -> Sequence[Candidate]:
        """The candidates of a generation that are in the history.

        Raises:
            UserError: one of them is not what the strategy proposes.
        """
        candidates = self._recorded[self._done :][: len(rows)]
        for index, (candidate, genes) in enumerate(zip(candidates, rows, strict=False)):
            expected = (generation, index, tuple(genes), self._flops(genes))
            found = (candidate.generation, candidate.index, candidate.genes, candidate.flops)
            if found != expected or set(candidate.measurement.mqq) != set(self._evaluator.metrics):
                raise self._log.changed(self._done)
            self._advance(bar)
        return candidates

    def _advance(self, bar: Bar) -> None:
        self._done += 1
        bar.advance()

    def _remaining(self) -> str:
        """A sentence that estimates the time that remains."""
        each, jobs = median(self._times), self._workers.jobs
        left = max(self._expected() - self._done, 1)
        parallel = f", {jobs} in parallel" if jobs > 1 else ""
        return (
            f"About {counted(left, 'evaluation')} remain{'s' * (left == 1)}, {each:.2f} s "
            f"each{parallel}: "
            f"{duration(left * each / jobs)}."
        )

    def _expected(self) -> int:
        """About how many evaluations the whole search needs."""
        return int(min(self._settings.strategy.expected_evaluations, self._space.count))

    def _flops(self, genes: Sequence[int]) -> int:
        return int(self._space.flops(np.array([genes], np.uint8))[0])

    def _report(self, generation: int, new: int) -> str:
        """One line about a generation: its best candidate and the population's mean reward."""
        name, population = self._settings.reward, self._strategy.population
        best = population[0]
        mean = fmean(candidate.reward(name) for candidate in population)
        latencies = self._space.latencies(np.array([best.genes], np.uint8))
        extra = "" if latencies is None else f", {latencies[0]:.3g} ms"
        extra += f", {best.input_size} px" if best.input_size else ""
        return (
            f"Generation {generation:2d}/{self._settings.strategy.generations}: "
            f"best {name.upper()} {best.reward(name):.4f} "
            f"(M(q,q) {best.mqq:.1%}, M(q,g) {best.mqg:.1%}, {best.flops / 1e6:.1f}M{extra}), "
            f"mean {mean:.4f}, {new} new"
        )
