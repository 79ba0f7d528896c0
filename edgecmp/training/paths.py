"""Samples the paths of the supernet that a training step uses, by a schedule of phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from edgecmp.networks.supernet import LayerPath
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS
from edgecmp.training.fields import Share

__all__ = ["Phase", "SampledPath", "Sampling", "sample_paths"]

SampledPath = tuple[LayerPath, ...]

Sampling = Literal["uniform", "fair"]
"""How the paths of a step are sampled.

"uniform": one path per step, with block and width uniform in each layer (supplement A.2).
"fair": a step uses every block of every layer exactly once, in several paths with uniform widths
that each process a part of the batch. This is the strict fairness of FairNAS, Chu et al., ICCV
2021, https://arxiv.org/abs/1907.01845.
"""

WidthIndex: TypeAlias = Annotated[int, Field(ge=0, le=len(WIDTHS) - 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A phase of the training.

    Attributes:
        until: share of the training at which it ends, 0..1.
        blocks: number of blocks of a layer that are averaged: 4, 2 or 1.
        narrowest: width indices are sampled from `narrowest` .. 9; 9 means full width only.
    """

    until: Share
    blocks: Literal[1, 2, 4]
    narrowest: WidthIndex


def sample_paths(
    phases: tuple[Phase, ...], progress: float, sampling: Sampling, generator: torch.Generator
) -> list[SampledPath]:
    """Samples the paths of one step.

    Args:
        phases: in order.
        progress: share of the training that is done, 0..1, which selects the phase.
        sampling: how the paths are sampled.
        generator: of the random numbers.
    """
    phase = next((p for p in phases if progress < p.until), phases[-1])
    count = 1 if sampling == "uniform" else len(BLOCKS) // phase.blocks
    order = torch.rand(DEPTH, len(BLOCKS), generator=generator).argsort(1)  # (20, 4)
    paths = []
    for index in range(count):
        blocks = order[:, index * phase.blocks : (index + 1) * phase.blocks]
        widths = torch.randint(phase.narrowest, len(WIDTHS), (DEPTH,), generator=generator)
        paths.append(_path(blocks, widths))
    return paths


def _path(blocks: Tensor, widths: Tensor) -> SampledPath:
    """The path of block indices (20, b) and width indices (20,)."""
    return tuple(
        LayerPath(tuple(sorted(chosen)), width)
        for chosen, width in zip(blocks.tolist(), widths.tolist(), strict=True)
    )
