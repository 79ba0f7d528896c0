"""What a search evaluates, and by which reward: the choices of `edgecmp search` put together."""

from __future__ import annotations

from dataclasses import replace

from edgecmp.errors import UserError, unknown_choice
from edgecmp.search.evaluation.rewards import reward as reward_named
from edgecmp.search.evaluation.supernet import METRICS
from edgecmp.search.loop import SearchSettings
from edgecmp.search.strategies.evolution import EvolutionSettings
from edgecmp.search.strategies.nsga2 import ParetoSettings
from edgecmp.search.strategies.predictor import PredictorSettings

__all__ = ["DEFAULT_METRIC", "STRATEGIES", "search_settings"]

STRATEGIES = ("evolution", "predictor", "pareto")

DEFAULT_METRIC = "top1"

FULL = (50, 20)
QUICK = (20, 7)
"""(population, generations): about 730 evaluations (supplement A.3), and about 100."""

PREDICTOR_FULL = (20, 11)
PREDICTOR_QUICK = (10, 7)
"""(batch, generations): 400 evaluations, and 100."""

START_FULL, START_QUICK = 10, 4
"""Random architectures before the rounds, in batches."""

PARETO_FULL = (40, 18)
PARETO_QUICK = (16, 6)
"""(population, generations): 720 evaluations, and 96."""


def search_settings(
    *,
    strategy: str = "evolution",
    reward: str = "r3",
    metric: str | None = None,
    quick: bool = False,
    seed: int = 0,
    generations: int | None = None,
    population: int | None = None,
) -> SearchSettings:
    """The settings of a search.

    Args:
        strategy: "evolution" (supplement A.3), "predictor" or "pareto".
        reward: "r1", "r2", "r3" or "r3sum".
        metric: accuracy that the reward is made of, one of `METRICS`; `DEFAULT_METRIC` if None.
        quick: about 100 evaluations instead of about 730 (with a predictor 400).
        seed: of the strategy; 0 or more.
        generations: instead of the paper's 20, or the quick search's 7, or those of another
            strategy.
        population: instead of the paper's 50, or the quick search's 20; with a predictor the
            architectures of a round, ten times (quick: four times) as many of which come first.

    Raises:
        UserError: one of them is unknown or outside its range.
    """
    reward_named(reward)
    if strategy not in STRATEGIES:
        raise unknown_choice("strategy", strategy, STRATEGIES)
    if metric is not None and metric not in METRICS:
        raise unknown_choice("metric", metric, METRICS)
    if seed < 0:
        raise UserError(f"A seed of {seed} cannot be used.", "Choose 0 or more.")
    sizes = {
        "evolution": (FULL, QUICK),
        "predictor": (PREDICTOR_FULL, PREDICTOR_QUICK),
        "pareto": (PARETO_FULL, PARETO_QUICK),
    }
    size, rounds = sizes[strategy][quick]
    size = size if population is None else population
    rounds = rounds if generations is None else generations
    settings = SearchSettings(reward=reward, metric=metric or DEFAULT_METRIC, seed=seed)
    if strategy == "predictor":
        start = size * (START_QUICK if quick else START_FULL)
        predictor = PredictorSettings(start=start, batch=size, generations=rounds)
        return replace(settings, predictor=predictor)
    if strategy == "pareto":
        return replace(settings, pareto=ParetoSettings(population=size, generations=rounds))
    evolution = EvolutionSettings(population=size, generations=rounds, retain=max(2, size // 5))
    return replace(settings, evolution=evolution)
