"""Recipes of another length, whose parts keep their proportions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

from edgecmp.training.gallery import GalleryRecipe
from edgecmp.training.query import QueryRecipe
from edgecmp.training.schedule import Schedule
from edgecmp.training.supernet import SupernetRecipe

__all__ = ["AnyTraining", "lasting", "with_epochs"]

AnyTraining = TypeVar("AnyTraining", GalleryRecipe, SupernetRecipe, QueryRecipe)


def lasting(schedule: Schedule, epochs: int) -> Schedule:
    """The schedule with another number of epochs.

    In a shorter one the warm-up and the span of the averaged weights shrink by the same factor, so
    that the initial weights have no larger share in the result; in a longer one both stay.
    """
    if epochs >= schedule.epochs:
        return replace(schedule, epochs=epochs)
    factor = epochs / schedule.epochs
    ema = schedule.ema and max(0.0, 1 - (1 - schedule.ema) / factor)
    return replace(
        schedule,
        epochs=epochs,
        warmup_epochs=_rounded(schedule.warmup_epochs * factor),
        ema=_rounded(ema),
    )


def with_epochs(recipe: AnyTraining, epochs: int) -> AnyTraining:
    """The recipe with another number of epochs.

    The training of the network that a supernet grows from changes by the same factor, phases are
    shares of the training anyway, and a longer training does not evaluate the hold-out more often.

    Args:
        recipe: of any training.
        epochs: of its schedule, at least 1.
    """
    factor = epochs / recipe.schedule.epochs
    changed = replace(
        recipe,
        schedule=lasting(recipe.schedule, epochs),
        watch_every=math.ceil(recipe.watch_every * max(1.0, factor)),
    )
    if isinstance(changed, SupernetRecipe) and changed.seed_schedule is not None:
        seed = changed.seed_schedule
        changed = replace(changed, seed_schedule=lasting(seed, max(1, round(seed.epochs * factor))))
    return changed


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
