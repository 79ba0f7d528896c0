"""Imitation with the gallery model beside the training step, and one after the other.

    python -m edgecmp.benchmarks.studies.ahead --gallery runs/galleries/kit.toml --rounds 5

Each case makes the same training steps of the starter kit's 100M architecture: a batch is changed
and blended, the gallery model embeds it, the query network learns from it. "in turn" is the usual
loop, with all of torch's threads for each part; "ahead" is that of `fit`, in which another thread
prepares the next batch, the gallery model included, while the training step has half of torch's
threads. Figures are medians over the rounds, in which the cases alternate.
"""

from __future__ import annotations

import os
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from edgecmp import kit
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.data import load_dataset
from edgecmp.gallery.source import open_source
from edgecmp.networks.architecture import Architecture
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.augment import LIGHT
from edgecmp.training.batches import open_batches
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.course import Course
from edgecmp.training.fit import epoch_steps, losses
from edgecmp.training.methods import Imitation
from edgecmp.training.query import QueryTask
from edgecmp.training.schedule import Schedule
from edgecmp.training.state import TrainingState
from edgecmp.training.supervision import Supervision
from edgecmp.training.views import FreshViews

__all__ = ["main", "measure"]

BATCH = 128
SCHEDULE = Schedule(epochs=1, batch_size=BATCH, lr=1e-3)


CASES = {"in turn": False, "ahead": True}


def measure(gallery: str | None, steps: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of "case", "ms_per_image" and "ratio", medians over the rounds.

    The ratio is that of the speeds, relative to "in turn" in the same round.

    Args:
        gallery: as `open_source` takes it; None: the starter kit's.
        steps: of each case in a round.
        rounds: after one that warms up.
    """
    source = open_source(gallery)
    architecture = Architecture.load(kit.architecture("100M"))
    architecture = architecture.resized(architecture.input_size, source.embedding_dim)
    train = load_dataset("emoji").train
    train = train.subset(range(min(len(train), steps * BATCH))).relabelled()
    preprocessing = Preprocessing(input_size=architecture.input_size)
    supervision = Supervision(source, train, preprocessing)
    frames = supervision.frames(LIGHT)
    task = QueryTask(architecture.build(), CompatibleLoss([Imitation(mixed=0.5)], supervision))
    batches = open_batches(train, preprocessing, frames=frames)
    state = TrainingState(task.module, SCHEDULE, SCHEDULE.steps_of(batches))
    task.module.train()
    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    for seed in range(rounds + 1):  # the first is a warm-up
        for case, ahead in CASES.items():
            generator = torch.Generator().manual_seed(seed)
            made = epoch_steps(
                task,
                batches,
                preprocessing,
                SCHEDULE,
                FreshViews(LIGHT, frames),
                epoch=0,
                course=Course.resumed(SCHEDULE, ()),
                generator=generator,
            )
            started = time.monotonic()
            for loss in losses(task, islice(made, steps), SCHEDULE, ahead=ahead):
                state.update(loss)
            if seed:
                seconds[case].append(time.monotonic() - started)
    images = min(steps, state.steps) * BATCH
    return [
        {
            "case": case,
            "ms_per_image": median(found) / images * 1e3,
            "ratio": median(a / b for a, b in zip(seconds["in turn"], found, strict=True)),
        }
        for case, found in seconds.items()
    ]


def main() -> None:
    """Runs the study and prints one row per case."""
    parser = study_parser(__doc__)
    parser.add_argument("--gallery", help="the starter kit's if not given")
    parser.add_argument("--steps", type=int, default=16, help="of each case in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = measure(options.gallery, options.steps, options.rounds)
    print_rows(rows)
    if options.json is not None:
        settings = {"gallery": options.gallery, "steps": options.steps, "rounds": options.rounds}
        write_study(options.json, {"rows": rows, "cores": os.cpu_count(), **settings})


if __name__ == "__main__":
    main()
