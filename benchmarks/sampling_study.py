"""Which paths should a training step take? Fair sampling, the sandwich rule, and its distillation.

    python -m edgecmp.benchmarks.sampling_study --out runs/sampling --seeds 2

All supernets grow from the same network, take as many steps and as many images through the network,
and are judged by the same random subnets on the hold-out. A run that was stopped goes on when the
same command runs again.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from edgecmp.architecture import Architecture
from edgecmp.bundle import SupernetBundle
from edgecmp.cli.output import table_text
from edgecmp.files import provenance, write_json
from edgecmp.search.candidate import Measurement
from edgecmp.search.run import open_evaluator
from edgecmp.search.settings import DEFAULT_METRIC
from edgecmp.training.fit import document_of
from edgecmp.training.recipes import emoji_sandwich_supernet, emoji_short_supernet
from edgecmp.training.supernet import SupernetRecipe, train_supernet

__all__ = ["main", "row", "study", "variants"]

QUICK_EPOCHS, QUICK_SUBNETS = 4, 10


def variants(epochs: int | None = None) -> dict[str, SupernetRecipe]:
    """The recipes that are compared; `epochs` are those of fair sampling, a multiple of 4."""
    recipes = {
        "fair": emoji_short_supernet("100M"),
        "sandwich": emoji_sandwich_supernet(distil=0.0),
        "sandwich, distilled": emoji_sandwich_supernet(),
    }
    if epochs is None:
        return recipes
    share = epochs / recipes["fair"].schedule.epochs
    return {name: _shortened(recipe, share) for name, recipe in recipes.items()}


def _shortened(recipe: SupernetRecipe, share: float) -> SupernetRecipe:
    schedule = recipe.schedule
    epochs = max(1, round(schedule.epochs * share))
    warmup = schedule.warmup_epochs * share
    return replace(recipe, schedule=replace(schedule, epochs=epochs, warmup_epochs=warmup))


def study(
    recipes: Mapping[str, SupernetRecipe],
    *,
    out: Path,
    seeds: int,
    subnets: int,
    gallery: str | Path | None = None,
    data: str = "emoji",
) -> list[dict[str, Any]]:
    """Trains what `out` does not hold yet; one row a recipe and seed, see `row`."""
    rows = []
    for seed in range(seeds):
        grown: Path | None = None
        for name, recipe in recipes.items():
            folder = out / f"seed{seed}" / name.replace(", ", "-")
            if grown and grown.exists() and not (folder / "seed").exists():
                shutil.copytree(grown, folder / "seed")
            if not _trained(folder, recipe, seed):
                train_supernet(recipe, out=folder, gallery=gallery, data=data, seed=seed)
            grown = folder / "seed"
            bundle = SupernetBundle.load(folder)
            evaluator = open_evaluator(bundle, gallery=gallery, data=data)
            network = bundle.network
            found = [
                evaluator.evaluate(
                    Architecture.random(
                        network.tier,
                        seed=index,
                        embedding_dim=network.embedding_dim,
                        input_size=network.input_size,
                    )
                )
                for index in range(subnets)
            ]
            rows.append({"sampling": name, "seed": seed, **row(found)})
    return rows


def _trained(folder: Path, recipe: SupernetRecipe, seed: int) -> bool:
    """Whether a supernet of that recipe and seed stands there."""
    if not (folder / "manifest.json").exists():
        return False
    found = SupernetBundle.load(folder).manifest.recipe
    return {**document_of(recipe), "start_sha256": None, "seed": seed} == found


def row(found: list[Measurement]) -> dict[str, Any]:
    """Mean, spread between subnets (standard deviation) and best of R3; the accuracies' means."""
    metric = DEFAULT_METRIC
    rewards = [one.mqq[metric] * one.mqg[metric] for one in found]
    return {
        "subnets": len(found),
        "r3_mean": round(fmean(rewards), 4),
        "r3_spread": round(stdev(rewards), 4),
        "r3_best": round(max(rewards), 4),
        "mqq_mean": round(100 * fmean(one.mqq[metric] for one in found), 2),
        "mqg_mean": round(100 * fmean(one.mqg[metric] for one in found), 2),
        "mqg_best": round(100 * max(one.mqg[metric] for one in found), 2),
    }


def main() -> None:
    """Runs the study; prints the table and writes it to OUT/sampling_study.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gallery", type=Path, default=None)
    parser.add_argument("--data", default="emoji")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--subnets", type=int, default=30)
    parser.add_argument("--epochs", type=int, help="of fair sampling, a multiple of 4")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EPOCHS} epochs, 10 subnets")
    given = parser.parse_args()
    epochs = QUICK_EPOCHS if given.quick else given.epochs
    rows = study(
        variants(epochs),
        out=given.out,
        seeds=given.seeds,
        subnets=QUICK_SUBNETS if given.quick else given.subnets,
        gallery=given.gallery,
        data=given.data,
    )
    print(table_text(rows, width=200))
    write_json(given.out / "sampling_study.json", {"rows": rows, "provenance": provenance()})


if __name__ == "__main__":
    main()
