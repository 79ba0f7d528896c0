"""Which paths of the supernet a training step takes: the schedule that makes it learn."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from edgecmp.architecture import BLOCKS, DEPTH, WIDTHS
from edgecmp.networks.supernet import LayerPath

__all__ = ["Phase", "sample_path"]


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


def sample_path(
    phases: tuple[Phase, ...], progress: float, generator: torch.Generator
) -> tuple[LayerPath, ...]:
    """A uniform sample of the paths that the phase at `progress` (0..1) allows, 20 layers."""
    phase = next((p for p in phases if progress < p.until), phases[-1])
    choices = len(BLOCKS)
    ranks = torch.rand(DEPTH, choices, generator=generator).argsort(1)[:, : phase.blocks]
    widths = torch.randint(phase.narrowest, len(WIDTHS), (DEPTH,), generator=generator)
    return tuple(
        LayerPath(tuple(sorted(blocks)), width)
        for blocks, width in zip(ranks.tolist(), widths.tolist(), strict=True)
    )
