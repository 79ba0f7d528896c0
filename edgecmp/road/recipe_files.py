"""The recipes of a run's trainings as TOML files, with the passes that the plan gives them."""

from __future__ import annotations

import math
from typing import Any

from edgecmp.road.costs import QUERY_LOOKS, SUPERNET_LOOKS, SUPERNET_WATCHED
from edgecmp.training.recipes.toml_text import toml_of

__all__ = ["schedule_of", "training_recipe"]


def schedule_of(passes: float, images: int) -> dict[str, int]:
    """The epochs of so many passes over the images: equally long ones, of a part of the images.

    2.4 passes are three epochs of 80 % of the images each.
    """
    epochs = max(1, math.ceil(passes - 1e-9))
    schedule = {"epochs": epochs}
    part = round(images * passes / epochs)
    if part < images:
        schedule["epoch_images"] = max(1, part)
    return schedule


def training_recipe(
    kind: str,
    *,
    passes: float,
    images: int,
    input_size: int,
    tier: str,
    adapter: bool = True,
    short: bool = False,
    views: int | None = None,
    seconds: float | None = None,
) -> str:
    """The recipe file of a training.

    Args:
        kind: "supernet" or "query".
        passes: over the images.
        images: of one pass.
        input_size: of the network, in pixels.
        tier: of the supernet.
        adapter: whether the hold-out may choose one, which is fitted to the embeddings of all
            images.
        short: of a query network: only the images that are seen are embedded by the gallery model,
            as they are.
        views: of each image of a query network, as in `Work`; 0 and None: those of the recipe.
        seconds: that the training takes, see `Schedule.time_s`; None: as long as its epochs take.
    """
    schedule: dict[str, float] = dict(schedule_of(passes, images))
    if seconds is not None:
        schedule["time_s"] = round(max(1.0, seconds), 1)
    document: dict[str, Any] = {"base": "photos"}
    looks = QUERY_LOOKS
    if kind == "supernet":
        looks = SUPERNET_LOOKS
        document |= {"tier": tier, "watched": SUPERNET_WATCHED}
    elif views:
        document["views"] = views + 1
    document |= {
        "input_size": input_size,
        "watch_every": math.ceil(schedule["epochs"] / looks),
        "schedule": schedule,
    }
    if not adapter:
        document["adapter"] = False
    if short:
        document |= {"views": 1, "methods": [{"name": "imitation", "weight": 10.0}]}
    return f"# Written by edgecmp run: {passes:.2f} passes over {images:,} images.\n" + toml_of(
        document
    )
