"""Strategies: one file each; `STRATEGIES` lists them by name."""

from edgecmp.search.strategies.base import (
    STRATEGIES,
    Strategy,
    StrategySettings,
    register_strategy,
    strategy_named,
)
from edgecmp.search.strategies.evolution import EvolutionSettings  # isort: split

from edgecmp.search.strategies.predictor import PredictorSettings  # isort: split

from edgecmp.search.strategies.pareto import ParetoSettings

__all__ = [
    "STRATEGIES",
    "EvolutionSettings",
    "ParetoSettings",
    "PredictorSettings",
    "Strategy",
    "StrategySettings",
    "register_strategy",
    "strategy_named",
]
