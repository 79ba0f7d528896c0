"""Recipes of another length keep their proportions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.training.lengths import lasting, with_epochs
from edgecmp.training.recipes import query_recipe, supernet_recipe
from edgecmp.training.schedule import Schedule

EPOCHS = st.integers(min_value=1, max_value=500)


@given(EPOCHS, EPOCHS, st.floats(0, 1), st.floats(0, 0.999))
def test_initial_weights_get_no_larger_share_in_a_shorter_training(
    before: int, after: int, warmup: float, ema: float
) -> None:
    """The share of the average that is older than a training of 10 steps per epoch."""
    old = Schedule(epochs=before, warmup_epochs=warmup * before, ema=ema)
    new = lasting(old, after)
    assert 0 <= new.warmup_epochs <= 1.001 * min(old.warmup_epochs, after)
    assert 0 <= new.ema <= ema + 1e-4
    assert new.ema ** (10 * after) <= ema ** (10 * min(before, after)) + 0.02
    if after < before:
        assert new.warmup_epochs / after == pytest.approx(warmup, rel=1e-3, abs=1e-6)


def test_a_longer_training_changes_nothing_but_its_length() -> None:
    recipe = query_recipe("emoji")
    longer = with_epochs(recipe, 80)
    assert longer == replace(recipe, schedule=replace(recipe.schedule, epochs=80), watch_every=20)
    assert with_epochs(recipe, recipe.schedule.epochs) == recipe


def test_a_supernets_seed_network_and_phases_follow() -> None:
    recipe = supernet_recipe("emoji")
    shorter = with_epochs(recipe, 9)
    assert shorter.schedule.epochs == 9
    assert shorter.seed_schedule is not None
    assert shorter.seed_schedule.epochs == 3
    assert shorter.seed_schedule.warmup_epochs == 0.125
    assert shorter.phases == recipe.phases
    assert shorter.watch_every == recipe.watch_every
    once = with_epochs(recipe, 1).seed_schedule
    assert once is not None
    assert once.epochs == 1
