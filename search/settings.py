"""SearchSettings: what a search maximises, and by which strategy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgecmp.errors import UserError, unknown_choice
from edgecmp.search.evaluation.rewards import reward as reward_named
from edgecmp.search.evaluation.supernet import METRICS
from edgecmp.search.strategies import EvolutionSettings, StrategySettings, strategy_named

__all__ = ["DEFAULT_METRIC", "SearchSettings", "search_settings"]

DEFAULT_METRIC = "top1"


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """What a search maximises, and how.

    Attributes:
        reward: name of the reward.
        metric: the accuracy that the reward is computed from.
        seed: of the strategy; the evaluator has none.
        strategy: sizes and probabilities of the strategy.
    """

    reward: str = "r3"
    metric: str = DEFAULT_METRIC
    seed: int = 0
    strategy: StrategySettings = field(default_factory=EvolutionSettings)

    def to_dict(self) -> dict[str, Any]:
        """The part of a history's header that describes them."""
        return {
            "reward": self.reward,
            "metric": self.metric,
            "seed": self.seed,
            self.strategy.name: self.strategy.to_dict(),
        }


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
        strategy: a name in `STRATEGIES`; "evolution" is that of supplement A.3.
        reward: a name in `REWARDS`.
        metric: the accuracy that the reward is computed from, one of `METRICS`; `DEFAULT_METRIC`
            if None.
        quick: about 100 evaluations instead of the strategy's full size.
        seed: of the strategy; 0 or more.
        generations: replaces the strategy's number of generations.
        population: replaces the strategy's number of architectures per generation; the predictor
            starts with ten times as many (quick: four times).

    Raises:
        UserError: one of them is unknown or outside its range.
    """
    reward_named(reward)
    kind = strategy_named(strategy)
    if metric is not None and metric not in METRICS:
        raise unknown_choice("metric", metric, METRICS)
    if seed < 0:
        raise UserError(f"--seed must be at least 0 (got {seed}).", "Give a seed of 0 or more.")
    return SearchSettings(
        reward=reward,
        metric=metric or DEFAULT_METRIC,
        seed=seed,
        strategy=kind.preset(quick=quick, population=population, generations=generations),
    )
