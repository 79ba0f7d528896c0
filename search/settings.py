"""What a search evaluates, and by which reward: the choices of `edgecmp search` put together."""

from __future__ import annotations

from edgecmp.errors import UserError, unknown_choice
from edgecmp.search.evaluator import METRICS
from edgecmp.search.evolution import EvolutionSettings
from edgecmp.search.loop import SearchSettings
from edgecmp.search.rewards import reward as reward_named

__all__ = ["DEFAULT_METRIC", "search_settings"]

DEFAULT_METRIC = "top1"

FULL = (50, 20)
QUICK = (20, 7)
"""(population, generations): about 730 evaluations (supplement A.3), and about 100."""


def search_settings(
    *,
    reward: str = "r3",
    metric: str | None = None,
    quick: bool = False,
    seed: int = 0,
    generations: int | None = None,
    population: int | None = None,
) -> SearchSettings:
    """The settings of a search.

    Args:
        reward: "r1", "r2", "r3" or "r3sum".
        metric: accuracy that the reward is made of, one of `METRICS`; the default one if None.
        quick: about 100 evaluations instead of about 730.
        seed: of the evolution; 0 or more.
        generations: instead of the paper's 20, or the quick search's 7.
        population: instead of the paper's 50, or the quick search's 20.

    Raises:
        UserError: one of them is unknown or outside its range.
    """
    reward_named(reward)
    if metric is not None and metric not in METRICS:
        raise unknown_choice("metric", metric, METRICS)
    if seed < 0:
        raise UserError(f"A seed of {seed} cannot be used.", "Choose 0 or more.")
    size, rounds = QUICK if quick else FULL
    size = size if population is None else population
    rounds = rounds if generations is None else generations
    return SearchSettings(
        reward=reward,
        metric=metric or DEFAULT_METRIC,
        seed=seed,
        evolution=EvolutionSettings(population=size, generations=rounds, retain=max(2, size // 5)),
    )
