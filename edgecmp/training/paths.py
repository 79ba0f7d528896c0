"""Which paths of the supernet a training step takes: the schedule that makes it learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from edgecmp.networks.supernet import LayerPath
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS

__all__ = ["Path", "Phase", "Sampling", "sample_paths"]

Path = tuple[LayerPath, ...]

Sampling = Literal["uniform", "fair"]
"""How the paths of a step are drawn.

"uniform": one path a step, block and width uniform in each layer (supplement A.2).
"fair": as many paths as it takes for every block of every layer to be used exactly once (FairNAS's
strict fairness), widths uniform; each path gets its share of the batch.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One stretch of the training.

    Attributes:
        until: share of the training at which it ends, 0..1.
        blocks: how many of the four blocks of a layer are averaged: 4, 2 or 1.
        narrowest: width indices are drawn from `narrowest` .. 9; 9 means full width only.
    """

    until: float
    blocks: int
    narrowest: int


def sample_paths(
    phases: tuple[Phase, ...], progress: float, sampling: Sampling, generator: torch.Generator
) -> list[Path]:
    """The paths of one step, of those that the phase at `progress` (0..1) allows."""
    phase = next((p for p in phases if progress < p.until), phases[-1])
    count = 1 if sampling == "uniform" else len(BLOCKS) // phase.blocks
    order = torch.rand(DEPTH, len(BLOCKS), generator=generator).argsort(1)  # (20, 4)
    paths = []
    for index in range(count):
        blocks = order[:, index * phase.blocks : (index + 1) * phase.blocks]
        widths = torch.randint(phase.narrowest, len(WIDTHS), (DEPTH,), generator=generator)
        paths.append(_path(blocks, widths))
    return paths


def _path(blocks: Tensor, widths: Tensor) -> Path:
    """Blocks (20, b) and widths (20,) as a path."""
    return tuple(
        LayerPath(tuple(sorted(chosen)), width)
        for chosen, width in zip(blocks.tolist(), widths.tolist(), strict=True)
    )
