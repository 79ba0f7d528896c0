"""The search loop: propose, evaluate or take from the history, rank, and so on to the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from edgecmp.architecture import DEPTH
from edgecmp.progress import Bar, duration, progress
from edgecmp.search.candidate import Candidate, Evaluator, architecture_of
from edgecmp.search.constraint import Constraint
from edgecmp.search.evolution import (
    EvolutionSettings,
    Proposal,
    first_generation,
    next_generation,
)
from edgecmp.search.history import History

__all__ = ["SearchOutcome", "SearchSettings", "search"]

TIMED_EVALUATIONS = 3
"""New evaluations after which the cost of the whole search is estimated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """What a search maximises, and how.

    Attributes:
        reward: "r1", "r2", "r3" or "r3sum".
        metric: the accuracy that the reward is made of ("top10").
        seed: of the evolution; the evaluator has none.
        evolution: sizes and chances.
    """

    reward: str = "r3"
    metric: str = "top10"
    seed: int = 0
    evolution: EvolutionSettings = field(default_factory=EvolutionSettings)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOutcome:
    """What a search found.

    Attributes:
        ranked: every evaluated candidate, best first.
        new: how many of them were evaluated by this run; the others stood in the history.
        exhausted: the space under the budget held no further architecture.
        seconds: wall time of this run.
        seconds_each: median time of one evaluation of this run; None if there was none.
    """

    ranked: tuple[Candidate, ...]
    new: int
    exhausted: bool
    seconds: float
    seconds_each: float | None

    @property
    def winner(self) -> Candidate:
        """The best candidate seen."""
        return self.ranked[0]


def search(
    evaluator: Evaluator, budget: Constraint, settings: SearchSettings, *, history: Path
) -> SearchOutcome:
    """Runs a search to its end, or takes it up where `history` stops.

    Raises:
        UserError: the history belongs to another search or was changed.
    """
    about: dict[str, Any] = {
        "budget": budget.to_dict(),
        **asdict(settings),
        "evaluator": evaluator.to_dict(),
    }
    with History.opened(history, about) as log:
        return _Search(evaluator, budget, settings, log).run()


class _Search:
    """One run: the history's candidates first, then new ones."""

    def __init__(
        self, evaluator: Evaluator, budget: Constraint, settings: SearchSettings, log: History
    ) -> None:
        self._evaluator = evaluator
        self._budget = budget
        self._settings = settings
        self._log = log
        self._on_file = len(log.candidates)
        self._position = 0
        self._times: list[float] = []

    def run(self) -> SearchOutcome:
        start = time.perf_counter()
        settings = self._settings.evolution
        population: list[Candidate] = []
        exhausted = False
        total = self._expected()
        with progress("Searching", total=total, unit="architecture") as bar:
            if self._on_file:
                bar.note(f"Going on after the {self._on_file} architectures in the history.")
            for generation in range(1, settings.generations + 1):
                proposal = self._proposal(generation, population)
                children = [
                    self._candidate(generation, index, genes, bar)
                    for index, genes in enumerate(proposal.children.tolist())
                ]
                survivors = [population[position] for position in proposal.survivors]
                exhausted = len(survivors) + len(children) < settings.population
                if children:
                    population = self._sorted(survivors + children)
                    bar.note(self._report(generation, population, len(children)))
                if exhausted:
                    break
        if self._position < self._on_file:
            raise self._log.changed(self._position)
        return SearchOutcome(
            ranked=tuple(self._sorted(self._log.candidates)),
            new=len(self._log.candidates) - self._on_file,
            exhausted=exhausted,
            seconds=time.perf_counter() - start,
            seconds_each=median(self._times) if self._times else None,
        )

    def _proposal(self, generation: int, population: Sequence[Candidate]) -> Proposal:
        settings, seed = self._settings.evolution, self._settings.seed
        if generation == 1:
            return first_generation(self._budget, settings, seed=seed)
        return next_generation(
            [candidate.genes for candidate in population],
            {bytes(candidate.genes) for candidate in self._log.candidates[: self._position]},
            self._budget,
            settings,
            seed=seed,
            generation=generation,
        )

    def _candidate(self, generation: int, index: int, genes: list[int], bar: Bar) -> Candidate:
        """The next candidate, from the history if it is there, else evaluated and written."""
        if self._position < self._on_file:
            candidate = self._log.candidates[self._position]
            expected = (generation, index, tuple(genes), self._flops(genes))
            found = (candidate.generation, candidate.index, candidate.genes, candidate.flops)
            if found != expected or set(candidate.measurement.mqq) != set(self._evaluator.metrics):
                raise self._log.changed(self._position)
        else:
            candidate = self._evaluated(generation, index, genes)
            self._log.append(candidate)
            if len(self._times) == TIMED_EVALUATIONS:
                each = median(self._times)
                left = max(self._expected() - self._position, 1)
                bar.note(
                    f"About {left} evaluations to go at {each:.2f} s each: {duration(left * each)}."
                )
        self._position += 1
        bar.advance()
        return candidate

    def _evaluated(self, generation: int, index: int, genes: list[int]) -> Candidate:
        start = time.perf_counter()
        measurement = self._evaluator.evaluate(architecture_of(genes, self._evaluator))
        self._times.append(time.perf_counter() - start)
        return Candidate(
            generation=generation,
            index=index,
            genes=tuple(genes),
            flops=self._flops(genes),
            metric=self._settings.metric,
            measurement=measurement,
        )

    def _expected(self) -> int:
        """About how many evaluations the whole search has."""
        return int(min(self._settings.evolution.expected_evaluations, self._budget.count))

    def _flops(self, genes: list[int]) -> int:
        row = np.array([genes], np.uint8)
        return int(self._budget.table.counts(row[:, :DEPTH], row[:, DEPTH:])[0])

    def _sorted(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        name = self._settings.reward
        return sorted(candidates, key=lambda candidate: candidate.order(name))

    def _report(self, generation: int, population: Sequence[Candidate], new: int) -> str:
        name = self._settings.reward
        best = population[0]
        mean = fmean(candidate.reward(name) for candidate in population)
        table = self._budget.latency
        latency = f", {table.predicts(*best.rows)[0]:.3g} ms" if table else ""
        return (
            f"Generation {generation:2d}/{self._settings.evolution.generations}: "
            f"best {name.upper()} {best.reward(name):.4f} "
            f"(M(q,q) {best.mqq:.1%}, M(q,g) {best.mqg:.1%}, {best.flops / 1e6:.1f}M{latency}), "
            f"mean {mean:.4f}, {new} new"
        )
