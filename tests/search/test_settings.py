"""Settings of a search and of each registered strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from edgecmp.errors import UserError
from edgecmp.search.evaluation.rewards import REWARDS
from edgecmp.search.settings import SearchSettings, search_settings
from edgecmp.search.strategies import (
    STRATEGIES,
    EvolutionSettings,
    ParetoSettings,
    PredictorSettings,
    StrategySettings,
)


def test_the_default_is_supplement_a_3() -> None:
    paper = SearchSettings(reward="r3", metric="top1", seed=0, strategy=EvolutionSettings())
    assert search_settings() == paper
    assert search_settings(seed=4, reward="r1") == replace(paper, seed=4, reward="r1")


def test_quick_and_what_differs_from_it() -> None:
    quick = search_settings(quick=True)
    assert quick.strategy == EvolutionSettings(population=20, generations=7, retain=4)
    changed = search_settings(quick=True, metric="top10", population=30)
    assert changed.metric == "top10"
    assert changed.strategy == EvolutionSettings(population=30, generations=7, retain=6)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_by_name(name: str) -> None:
    full = search_settings(strategy=name)
    quick = search_settings(strategy=name, quick=True)
    assert full.strategy == STRATEGIES[name]()
    assert full.strategy.name == name
    assert 90 <= quick.strategy.expected_evaluations <= 110
    assert full.strategy.expected_evaluations >= 400
    smaller = search_settings(strategy=name, population=10, generations=3).strategy
    assert smaller.generations == 3
    assert smaller.expected_evaluations < full.strategy.expected_evaluations


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_header_has_the_settings_of_the_strategy_alone(name: str) -> None:
    settings = search_settings(strategy=name)
    document = settings.to_dict()
    assert list(document) == ["reward", "metric", "seed", name]
    assert document[name] == asdict(settings.strategy)


def test_sizes_of_predictor_and_pareto() -> None:
    full = search_settings(strategy="predictor").strategy
    quick = search_settings(strategy="predictor", quick=True).strategy
    assert full == PredictorSettings(start=200, batch=20, generations=11)
    assert quick == PredictorSettings(start=40, batch=10, generations=7)
    assert [one.expected_evaluations for one in (full, quick)] == [400, 100]
    given = search_settings(strategy="pareto", population=8, generations=3).strategy
    assert given == ParetoSettings(population=8, generations=3)


def test_an_unknown_strategy_lists_the_choices() -> None:
    choices = ", ".join(STRATEGIES)
    match = rf"Unknown strategy 'predict'.*Did you mean predictor\?.*{choices}"
    with pytest.raises(UserError, match=match):
        search_settings(strategy="predict")


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (PredictorSettings, {"start": 2}),
        (PredictorSettings, {"batch": 0}),
        (PredictorSettings, {"generations": 0}),
        (ParetoSettings, {"population": 2}),
        (ParetoSettings, {"generations": 0}),
    ],
)
def test_impossible_settings_are_refused(kind: type[StrategySettings], bad: dict[str, int]) -> None:
    with pytest.raises(UserError, match="cannot run with"):
        kind(**bad)


def test_the_command_names_every_strategy(edgecmp: Callable[..., Any]) -> None:
    """Its help is static text, because importing the registry imports torch."""
    shown = " ".join(edgecmp("search", "--help").out.split())
    assert all(name in shown for name in STRATEGIES)
    shown = " ".join(edgecmp("rank", "--help").out.split())
    assert all(name in shown for name in REWARDS)
