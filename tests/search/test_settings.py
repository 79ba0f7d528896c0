"""What the choices of a search stand for; bad ones are in test_run."""

from __future__ import annotations

from dataclasses import replace

from edgecmp.search.loop import SearchSettings
from edgecmp.search.settings import search_settings
from edgecmp.search.strategies.evolution import EvolutionSettings


def test_the_default_is_supplement_a_3() -> None:
    paper = SearchSettings(reward="r3", metric="top1", seed=0, evolution=EvolutionSettings())
    assert search_settings() == paper
    assert search_settings(seed=4, reward="r1") == replace(paper, seed=4, reward="r1")


def test_quick_and_what_differs_from_it() -> None:
    quick = search_settings(quick=True)
    assert quick.evolution == EvolutionSettings(population=20, generations=7, retain=4)
    changed = search_settings(quick=True, metric="top10", population=30)
    assert changed.metric == "top10"
    assert changed.evolution == EvolutionSettings(population=30, generations=7, retain=6)
