"""The speed of reading image files and shards and of training, in images per second.

    python -m edgecmp.benchmarks.studies.loading
    python -m edgecmp.benchmarks.studies.loading --images 4096 --rounds 5 --json loading.json

The images are drawings of the embedded set, enlarged to the size of aligned faces: 112-pixel JPEG.
The training step is that of `fit` (augmentation, forward, margin softmax, backward, SGD) on the
starter kit's architecture of the 100M tier. Reader and training share the cores, as they do in
practice. The cases are timed in rounds, and figures are medians over the rounds. On a busy machine
`cpu_ms`, the processor time per image, is more reliable than the wall time. A second table has the
speed of opening and reading folders of image files (see `edgecmp.benchmarks.studies.image_files`).
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from edgecmp import kit
from edgecmp.benchmarks.studies.image_files import measure_files
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.data import Dataset, ImageSet, load_dataset
from edgecmp.data.image_set import ImageSource, Integers, Pixels
from edgecmp.data.shard_writer import write_shards
from edgecmp.losses import CosFace
from edgecmp.networks.architecture import Architecture
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say
from edgecmp.training.augment import Augmentation
from edgecmp.training.batches import Batches, InMemory, Streamed
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.fit import PlainTask, fit
from edgecmp.training.schedule import Schedule
from edgecmp.training.shown import Shown
from edgecmp.training.views import FreshViews

__all__ = ["main", "measure"]

BATCH = 128
MEMORY = "training from memory"


@dataclass(frozen=True, slots=True)
class _Enlarged:
    """The images of a source, enlarged to `side` x `side` pixels."""

    source: ImageSource
    side: int

    @property
    def keys(self) -> tuple[str, ...]:
        return self.source.keys

    @property
    def fingerprint(self) -> str:
        return f"{self.source.fingerprint} at {self.side}"

    @property
    def shards(self) -> Integers | None:
        return None

    def file(self, row: int) -> Path | None:
        return None

    def image(self, row: int) -> Image.Image:
        return self.source.image(row).resize((self.side, self.side), Image.Resampling.BICUBIC)

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        raise NotImplementedError("only written to shards")


class _Task(PlainTask):
    """A margin softmax over the training identities."""

    def __init__(self, architecture: Architecture, images: ImageSet) -> None:
        self.network = architecture.build()
        self.head = CosFace(len(images.identity_names), architecture.embedding_dim)
        self.module = nn.ModuleDict({"network": self.network, "head": self.head})
        self.labels = torch.from_numpy(images.identities)

    def loss(self, prepared: Shown) -> Tensor:
        loss: Tensor = self.head(self.network(prepared.images), self.labels[prepared.indices])
        return loss


def faces_like(folder: Path, images: int, side: int) -> Dataset:
    """`images` training images of `side` pixels, in shards in `folder`."""
    emoji = load_dataset("emoji")
    train = emoji.train.subset(range(min(images, len(emoji.train)))).relabelled()
    enlarged = replace(train, source=_Enlarged(train.source, side))
    nothing = enlarged.subset([])
    dataset = replace(emoji, train=enlarged, validation=nothing, test=nothing)
    write_shards(dataset, folder / "shards", images_per_shard=512)
    return load_dataset(folder / "shards")


def reading(batches: Batches, seed: int) -> None:
    """Reads one epoch without training."""
    for _ in batches.epoch(BATCH, torch.Generator().manual_seed(seed)):
        pass


def training(task: _Task, batches: Batches, preprocessing: Preprocessing, seed: int) -> None:
    """Trains for one epoch of `fit`, including its checkpoint."""
    with tempfile.TemporaryDirectory() as checkpoints:
        fit(
            task,
            batches,
            preprocessing,
            Schedule(epochs=1, batch_size=BATCH),
            FreshViews(Augmentation()),
            seed=seed,
            checkpoint=Checkpoint.opened(Path(checkpoints), {}),
            name="training step",
        )


def cpu_seconds() -> float:
    """Processor time in s of this process and of its finished worker processes."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measure(images: int, side: int, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of "case", "images_per_s", "ratio" and "cpu_ms" (per image), medians over the rounds.

    The ratio is relative to training from memory in the same round.
    """
    torch.set_num_threads(threads)
    preprocessing = Preprocessing(input_size=side)
    with tempfile.TemporaryDirectory() as folder:
        train = faces_like(Path(folder), images, side).train
        architecture = Architecture.load(Path(kit.path("query")) / "architecture.json")
        task = _Task(replace(architecture, input_size=side), train)
        memory = InMemory(train.pixels(preprocessing))
        cases: dict[str, Callable[[int], None]] = {
            MEMORY: lambda seed: training(task, memory, preprocessing, seed)
        }
        for workers in (1, 2):
            stream = Streamed(train, preprocessing, workers)
            plural = "es" if workers > 1 else ""
            cases[f"reading alone, {workers} process{plural}"] = partial(reading, stream)
            cases[f"training from shards, {workers} process{plural}"] = partial(
                training, task, stream, preprocessing
            )
        speeds: dict[str, list[float]] = {case: [] for case in cases}
        costs: dict[str, list[float]] = {case: [] for case in cases}
        seen = len(memory) // BATCH * BATCH
        for seed in range(rounds + 1):  # the first is a warm-up
            for case, run in cases.items():
                wall, cpu = time.monotonic(), cpu_seconds()
                run(seed)
                if seed:
                    speeds[case].append(seen / (time.monotonic() - wall))
                    costs[case].append((cpu_seconds() - cpu) / seen * 1000)
    return [
        {
            "case": case,
            "images_per_s": median(found),
            "ratio": median(one / base for one, base in zip(found, speeds[MEMORY], strict=True)),
            "cpu_ms": median(costs[case]),
        }
        for case, found in speeds.items()
    ]


def main() -> None:
    """Runs the study and prints one row per case."""
    parser = study_parser(__doc__)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--size", type=int, default=112, help="pixels")
    parser.add_argument("--threads", type=int, default=2, help="threads of the training step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    say(f"Load average before: {before:.1f} on {os.cpu_count()} cores.")
    rows = measure(options.images, options.size, options.threads, options.rounds)
    print_rows(rows)
    files = measure_files(options.rounds, side=options.size)
    print_rows(files)
    if options.json:
        write_study(
            options.json,
            {
                "rows": rows,
                "files": files,
                "images": options.images,
                "size": options.size,
                "threads": options.threads,
                "rounds": options.rounds,
                "cores": os.cpu_count(),
                "load_before": before,
            },
        )


if __name__ == "__main__":
    main()
