"""Recipes of the search: how much is evaluated, by which seed, and what a candidate is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecmp.errors import UserError, unknown_choice
from edgecmp.search.evaluator import METRICS
from edgecmp.search.evolution import EvolutionSettings
from edgecmp.search.loop import SearchSettings
from edgecmp.search.rewards import reward

__all__ = ["DEFAULT_METRIC", "RECIPES", "search_recipe"]

DEFAULT_METRIC = "top1"

RECIPES = {"paper": (50, 20), "quick": (20, 7)}
"""(population, generations): about 730 evaluations (supplement A.3), and about 100."""

KEYS: dict[str, Callable[[str], Any]] = {
    "reward": str,
    "metric": str,
    "seed": int,
    "population": int,
    "generations": int,
}


def search_recipe(text: str) -> SearchSettings:
    """The settings that a recipe stands for: "quick", "seed=1", "quick,seed=1,reward=r1".

    Args:
        text: a name of `RECIPES` (else "paper"), then any of reward, metric, seed, population and
            generations with their values.

    Raises:
        UserError: a name, key or value is unknown.
    """
    name = "paper"
    changes: dict[str, Any] = {}
    for place, part in enumerate(text.split(",")):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals and not place:
            name = key
        elif key in KEYS and key not in changes:
            changes[key] = _value(key, value)
        else:
            raise UserError(
                f"{part.strip()!r} cannot stand in the recipe {text!r}.",
                f"Write a name ({', '.join(RECIPES)}), then any of {', '.join(KEYS)} once, as in "
                "quick,seed=1.",
            )
    if name not in RECIPES:
        raise unknown_choice("recipe", name, RECIPES)
    population, generations = RECIPES[name]
    settings: dict[str, Any] = {"reward": "r3", "metric": DEFAULT_METRIC, "seed": 0} | changes
    population = settings.pop("population", population)
    generations = settings.pop("generations", generations)
    reward(settings["reward"])
    if settings["metric"] not in METRICS:
        raise unknown_choice("metric", settings["metric"], METRICS)
    if settings["seed"] < 0:
        raise UserError(f"A seed of {settings['seed']} cannot be used.", "Choose 0 or more.")
    evolution = EvolutionSettings(
        population=population, generations=generations, retain=max(2, population // 5)
    )
    return SearchSettings(**settings, evolution=evolution)


def _value(key: str, value: str) -> str | int:
    try:
        parsed: str | int = KEYS[key](value)
    except ValueError:
        raise UserError(f"{key}={value} is no whole number.", f"Write it as in {key}=20.") from None
    return parsed
