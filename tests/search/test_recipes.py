"""What a recipe stands for; bad ones are in test_run."""

from __future__ import annotations

from dataclasses import replace

from edgecmp.search.evolution import EvolutionSettings
from edgecmp.search.loop import SearchSettings
from edgecmp.search.recipes import RECIPES, search_recipe


def test_the_paper_is_supplement_a_3() -> None:
    paper = SearchSettings(reward="r3", metric="top1", seed=0, evolution=EvolutionSettings())
    assert search_recipe("paper") == paper
    assert search_recipe("seed=4,reward=r1") == replace(paper, seed=4, reward="r1")


def test_a_name_and_what_differs_from_it() -> None:
    assert set(RECIPES) == {"paper", "quick"}
    quick = search_recipe("quick")
    assert quick.evolution == EvolutionSettings(population=20, generations=7, retain=4)
    changed = search_recipe(" quick, metric = top10 ,population=30")
    assert changed.metric == "top10"
    assert changed.evolution == EvolutionSettings(population=30, generations=7, retain=6)
