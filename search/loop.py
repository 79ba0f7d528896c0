"""The search loop: propose, evaluate or take from the history, rank, and so on to the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from edgecmp.progress import Bar, duration, progress
from edgecmp.search.evaluation.candidate import Candidate, Evaluator, architecture_of
from edgecmp.search.evaluation.workers import Workers
from edgecmp.search.results.history import SHAPE, History
from edgecmp.search.space.constraint import Constraint
from edgecmp.search.space.space import Space
from edgecmp.search.strategies.base import Evolution, Strategy, best_first
from edgecmp.search.strategies.evolution import EvolutionSettings
from edgecmp.search.strategies.nsga2 import ParetoSearch, ParetoSettings
from edgecmp.search.strategies.predictor import PredictorSearch, PredictorSettings

__all__ = ["SearchOutcome", "SearchSettings", "search"]

TIMED_EVALUATIONS = 3
"""New evaluations after which the cost of the whole search is estimated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """What a search maximises, and how.

    Attributes:
        reward: "r1", "r2", "r3" or "r3sum".
        metric: the accuracy that the reward is made of ("top10").
        seed: of the strategy; the evaluator has none.
        evolution: sizes and chances of the evolution, the strategy unless another is given.
        predictor: those of the search by a predictor.
        pareto: those of the search for a front.
    """

    reward: str = "r3"
    metric: str = "top10"
    seed: int = 0
    evolution: EvolutionSettings = field(default_factory=EvolutionSettings)
    predictor: PredictorSettings | None = None
    pareto: ParetoSettings | None = None

    @property
    def name(self) -> str:
        """The strategy: "evolution", "predictor" or "pareto"."""
        return "predictor" if self.predictor else "pareto" if self.pareto else "evolution"

    def strategy(self, spaces: Sequence[Space]) -> Strategy:
        """The strategy over these spaces, the widest first.

        Raises:
            UserError: what it needs is not installed.
        """
        if self.predictor:
            return PredictorSearch(spaces, self.predictor, self.reward, self.seed)
        if self.pareto:
            return ParetoSearch(spaces, self.pareto, self.reward, self.seed)
        return Evolution(spaces[0], self.evolution, self.reward, self.seed)

    def to_dict(self) -> dict[str, Any]:
        """What a history's header keeps of it: the sizes of its strategy alone."""
        document = asdict(self)
        sizes = {name: document.pop(name) for name in ("evolution", "predictor", "pareto")}
        return {**document, self.name: sizes[self.name]}


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
    evaluator: Evaluator,
    budget: Constraint | Space,
    settings: SearchSettings,
    *,
    history: Path,
    tighter: Sequence[Constraint | Space] = (),
    jobs: int = 1,
) -> SearchOutcome:
    """Runs a search to its end, or takes it up where `history` stops.

    Args:
        evaluator: measures candidates.
        budget: what all candidates hold.
        settings: what is maximised, and how.
        history: the file.
        tighter: smaller budgets, whose best are searched in the same run; the evolution has none.
        jobs: processes that evaluate at once, as `Workers` does; they change no number.

    Raises:
        UserError: the history belongs to another search or was changed, what the strategy needs
            is not installed, or a process ended before its work did.
    """
    spaces = [Space.of(bound) for bound in (budget, *tighter)]
    more = {"tighter": [space.to_dict() for space in spaces[1:]]} if tighter else {}
    about: dict[str, Any] = {
        "budget": spaces[0].to_dict(),
        **more,
        **settings.to_dict(),
        "evaluator": evaluator.to_dict(),
    }
    strategy = settings.strategy(spaces)
    shape = {name: getattr(evaluator, name) for name in SHAPE}
    with History.opened(history, about, shape) as log, Workers(evaluator, jobs) as workers:
        return _Search(workers, evaluator, spaces[0], settings, strategy, log).run()


class _Search:
    """One run: the history's candidates first, then new ones."""

    def __init__(
        self,
        workers: Workers,
        evaluator: Evaluator,
        space: Space,
        settings: SearchSettings,
        strategy: Strategy,
        log: History,
    ) -> None:
        self._workers = workers
        self._evaluator = evaluator
        self._space = space
        self._settings = settings
        self._strategy = strategy
        self._log = log
        self._on_file = len(log.candidates)
        self._position = 0
        self._times: list[float] = []

    def run(self) -> SearchOutcome:
        start = time.perf_counter()
        strategy = self._strategy
        with progress("Searching", total=self._expected(), unit="architecture") as bar:
            if self._on_file:
                bar.note(f"Going on after the {self._on_file} architectures in the history.")
            for generation in range(1, strategy.generations + 1):
                children = self._evaluated(generation, strategy.propose(generation).tolist(), bar)
                if children:
                    strategy.tell(children)
                    bar.note(self._report(generation, len(children)))
                if strategy.exhausted:
                    break
        if self._position < self._on_file:
            raise self._log.changed(self._position)
        return SearchOutcome(
            ranked=tuple(best_first(self._log.candidates, self._settings.reward)),
            new=len(self._log.candidates) - self._on_file,
            exhausted=strategy.exhausted,
            seconds=time.perf_counter() - start,
            seconds_each=median(self._times) if self._times else None,
        )

    def _evaluated(self, generation: int, proposed: list[list[int]], bar: Bar) -> list[Candidate]:
        """A generation: from the history what is there, the rest evaluated and written."""
        known = self._log.candidates[self._position : self._on_file][: len(proposed)]
        for index, candidate in enumerate(known):
            genes = proposed[index]
            expected = (generation, index, tuple(genes), self._flops(genes))
            found = (candidate.generation, candidate.index, candidate.genes, candidate.flops)
            if found != expected or set(candidate.measurement.mqq) != set(self._evaluator.metrics):
                raise self._log.changed(self._position)
            self._count(bar)
        sizes = [self._space.input_size(genes) for genes in proposed]
        architectures = [
            architecture_of(genes, self._evaluator, size)
            for genes, size in zip(proposed, sizes, strict=True)
        ]
        children = list(known)
        for measurement, seconds in self._workers.measure(architectures[len(known) :]):
            index = len(children)
            candidate = Candidate(
                generation=generation,
                index=index,
                genes=tuple(proposed[index]),
                flops=self._flops(proposed[index]),
                metric=self._settings.metric,
                measurement=measurement,
                input_size=sizes[index],
            )
            self._log.append(candidate)
            children.append(candidate)
            self._times.append(seconds)
            if len(self._times) == TIMED_EVALUATIONS:
                bar.note(self._cost())
            self._count(bar)
        return children

    def _count(self, bar: Bar) -> None:
        self._position += 1
        bar.advance()

    def _cost(self) -> str:
        each, jobs = median(self._times), self._workers.jobs
        left = max(self._expected() - self._position, 1)
        at_once = f", {jobs} at once" if jobs > 1 else ""
        return (
            f"About {left} evaluations to go at {each:.2f} s each{at_once}: "
            f"{duration(left * each / jobs)}."
        )

    def _expected(self) -> int:
        """About how many evaluations the whole search has."""
        return int(min(self._strategy.expected_evaluations, self._space.count))

    def _flops(self, genes: list[int]) -> int:
        return int(self._space.flops(np.array([genes], np.uint8))[0])

    def _report(self, generation: int, new: int) -> str:
        name, alive = self._settings.reward, self._strategy.alive
        best = alive[0]
        mean = fmean(candidate.reward(name) for candidate in alive)
        table = self._space.latency
        latency = f", {table.predicts(*best.rows)[0]:.3g} ms" if table else ""
        latency += f", {best.input_size} px" if best.input_size else ""
        return (
            f"Generation {generation:2d}/{self._strategy.generations}: "
            f"best {name.upper()} {best.reward(name):.4f} "
            f"(M(q,q) {best.mqq:.1%}, M(q,g) {best.mqg:.1%}, {best.flops / 1e6:.1f}M{latency}), "
            f"mean {mean:.4f}, {new} new"
        )
