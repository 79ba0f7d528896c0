"""The SPOS search space: 20 layers, each with one of four blocks and one of ten widths.

A tier scales the width of every layer, including stem and head (supplement A.2).

Source: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling",
ECCV 2020, https://arxiv.org/abs/1904.00420.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgecmp.errors import unknown_choice

__all__ = ["BLOCKS", "DEPTH", "TIERS", "WIDTHS", "Genotype", "Layer", "Tier", "tier"]

BLOCKS = ("shuffle3", "shuffle5", "shuffle7", "xception")
"""The four block choices, by index 0-3."""

WIDTHS = tuple(range(1, 11))
"""The ten width choices in fifths of half the output channels: index i is 0.2 (i + 1)."""

REPEATS = (4, 4, 8, 4)
DEPTH = sum(REPEATS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One of the 20 choice layers of a tier; the first layer of a stage has stride 2."""

    index: int
    stage: int
    stride: int
    in_channels: int
    out_channels: int

    def mid_channels(self, width: int) -> int:
        """Channels inside the main branch for width index 0-9, rounded down as in SPOS."""
        return self.out_channels // 2 * WIDTHS[width] // 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """A computational tier: fixed outer widths for a budget (supplement A.2).

    Attributes:
        name: "330M", "230M" or "100M".
        max_flops: the budget, by fvcore's rules at 224 x 224 pixels, as in the paper's tables.
        stem_channels: output channels of the stem.
        stage_channels: output channels of the four stages.
        head_channels: output channels of the head.
    """

    name: str
    max_flops: int
    stem_channels: int
    stage_channels: tuple[int, int, int, int]
    head_channels: int

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The 20 choice layers, in order."""
        layers: list[Layer] = []
        channels = self.stem_channels
        for stage, (out_channels, repeats) in enumerate(
            zip(self.stage_channels, REPEATS, strict=True)
        ):
            for repeat in range(repeats):
                layers.append(
                    Layer(
                        index=len(layers),
                        stage=stage,
                        stride=2 if repeat == 0 else 1,
                        in_channels=channels,
                        out_channels=out_channels,
                    )
                )
                channels = out_channels
        return tuple(layers)


TIERS: dict[str, Tier] = {
    "330M": Tier(
        name="330M",
        max_flops=330_000_000,
        stem_channels=16,
        stage_channels=(64, 160, 320, 640),
        head_channels=1024,
    ),
    "230M": Tier(
        name="230M",
        max_flops=230_000_000,
        stem_channels=12,
        stage_channels=(48, 120, 240, 480),
        head_channels=768,
    ),
    "100M": Tier(
        name="100M",
        max_flops=100_000_000,
        stem_channels=8,
        stage_channels=(32, 80, 160, 320),
        head_channels=512,
    ),
}
"""The tiers by name, the largest first."""


def tier(name: str) -> Tier:
    """The tier of that name.

    Raises:
        UserError: there is no such tier; the message lists them.
    """
    if name not in TIERS:
        raise unknown_choice("tier", name, TIERS)
    return TIERS[name]


class Genotype(Protocol):
    """The fields of an `Architecture` that a network is built from."""

    @property
    def tier(self) -> str:
        """The name of the tier."""

    @property
    def blocks(self) -> tuple[int, ...]:
        """20 block indices."""

    @property
    def widths(self) -> tuple[int, ...]:
        """20 width indices."""

    @property
    def embedding_dim(self) -> int:
        """D of the (N, D) embeddings."""

    @property
    def input_size(self) -> int:
        """Height and width, in pixels, of the images that the network is used on."""
