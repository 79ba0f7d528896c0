"""The trainings that are killed: the real commands with recipes of a few short epochs."""

from __future__ import annotations

from dataclasses import replace

import edgecmp.training.supernet as supernet_module
from edgecmp.cli import main
from edgecmp.training.recipes import (
    GALLERY_RECIPES,
    QUERY_RECIPES,
    SUPERNET_RECIPES,
    gallery_recipe,
    query_recipe,
    supernet_recipe,
)
from edgecmp.training.schedule import Schedule

__all__ = ["command"]

SCHEDULE = Schedule(epochs=3, batch_size=16, lr=0.01, ema=0.9)


def command(*arguments: str) -> int:
    """Runs `edgecmp ARGUMENTS`; the recipes "short" have three epochs, "views" fixed views."""
    gallery, query = gallery_recipe("tiny"), query_recipe("tiny")
    supernet = replace(
        supernet_recipe("tiny"),
        schedule=replace(SCHEDULE, epochs=2),
        seed_schedule=replace(SCHEDULE, epochs=2),
        watched=1,
        watch_every=9,
    )
    GALLERY_RECIPES["short"] = lambda: replace(gallery, schedule=SCHEDULE)
    QUERY_RECIPES["short"] = lambda: replace(query, schedule=SCHEDULE)
    QUERY_RECIPES["views"] = lambda: replace(query, schedule=SCHEDULE, views=2)
    SUPERNET_RECIPES["short"] = lambda: supernet
    supernet_module.CHANCE_FACTOR = 0.0
    return main([*arguments])
