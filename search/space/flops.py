"""FLOPs of every architecture of a tier, in closed form: exact, and millions per second.

Conventions (fvcore's, so that numbers compare with the paper's tables): one multiply-add of a
convolution or linear layer counts as one FLOP, biases as none; batch norm in evaluation mode counts
two per element; ReLU, channel shuffle, concatenation, global average pooling and normalisation to
unit length count zero. `macs` leaves out batch norm, which is folded before deployment.

Example: `FlopsTable.of("100M").count(architecture)` is the number that a budget of 100M bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS, Layer, tier

__all__ = ["CHOICES", "FlopsTable", "Genes"]

Genes = NDArray[np.uint8]
"""Block or width indices of N architectures, (N, 20)."""

CHOICES = len(BLOCKS) * len(WIDTHS)
"""Choices per layer: 4 blocks x 10 widths; choice = block * 10 + width."""

CHUNK_ROWS = 4096
"""Architectures counted at once, so that the gathered values fit into the processor's cache."""


@dataclass(slots=True)
class _Tally:
    """MACs and batch-norm elements of a sequence of layers, summed for one image."""

    macs: int = 0
    norms: int = 0

    def conv_bn(
        self, inputs: int, outputs: int, *, side: int, kernel: int = 1, depthwise: bool = False
    ) -> None:
        """A convolution whose output is `side` x `side`, and its batch norm."""
        self.macs += side * side * outputs * kernel * kernel * (1 if depthwise else inputs)
        self.norms += side * side * outputs


def _block_tally(layer: Layer, block: int, width: int, side: int) -> _Tally:
    """The cost of a `ChoiceBlock` on an input of `side` x `side` pixels."""
    tally = _Tally()
    mid = layer.mid_channels(width)
    inputs = layer.in_channels if layer.stride == 2 else layer.in_channels // 2
    outputs = layer.out_channels - inputs
    out = _halved(side) if layer.stride == 2 else side
    xception = BLOCKS[block] == "xception"
    kernel = 3 if xception else (3, 5, 7)[block]
    if layer.stride == 2:
        tally.conv_bn(inputs, inputs, side=out, kernel=kernel, depthwise=True)
        tally.conv_bn(inputs, inputs, side=out)
    if xception:
        tally.conv_bn(inputs, inputs, side=out, kernel=3, depthwise=True)
        tally.conv_bn(inputs, mid, side=out)
        tally.conv_bn(mid, mid, side=out, kernel=3, depthwise=True)
        tally.conv_bn(mid, mid, side=out)
        tally.conv_bn(mid, mid, side=out, kernel=3, depthwise=True)
    else:
        tally.conv_bn(inputs, mid, side=side)
        tally.conv_bn(mid, mid, side=out, kernel=kernel, depthwise=True)
    tally.conv_bn(mid, outputs, side=out)
    return tally


def _halved(side: int) -> int:
    """Output side of a convolution with stride 2 and `same` padding."""
    return (side + 1) // 2


@dataclass(frozen=True, kw_only=True, slots=True)
class FlopsTable:
    """The cost of each choice of each layer of one tier, at one input size.

    Attributes:
        tier: "330M", "230M" or "100M".
        input_size: side of the square image, in pixels; budgets are stated at 224.
        embedding_dim: dimension of the embedding.
        layer_macs: (20, 40) int64, the MACs of each choice (block * 10 + width).
        layer_norms: (20, 40) int64, batch-norm elements of each choice.
        fixed_macs: MACs of stem, head and embedding.
        fixed_norms: batch-norm elements of stem, head and embedding.
    """

    tier: str
    input_size: int
    embedding_dim: int
    layer_macs: NDArray[np.int64]
    layer_norms: NDArray[np.int64]
    fixed_macs: int
    fixed_norms: int
    _pairs: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, tier_name: str, input_size: int = 224, embedding_dim: int = 128) -> Self:
        """The table of a tier.

        Raises:
            UserError: there is no such tier.
        """
        space = tier(tier_name)
        macs = np.zeros((DEPTH, CHOICES), np.int64)
        norms = np.zeros((DEPTH, CHOICES), np.int64)
        fixed = _Tally()
        side = _halved(input_size)
        fixed.conv_bn(3, space.stem_channels, side=side, kernel=3)
        for layer in space.layers:
            for choice in range(CHOICES):
                tally = _block_tally(layer, *divmod(choice, len(WIDTHS)), side)
                macs[layer.index, choice] = tally.macs
                norms[layer.index, choice] = tally.norms
            if layer.stride == 2:
                side = _halved(side)
        fixed.conv_bn(space.stage_channels[-1], space.head_channels, side=side)
        fixed.macs += space.head_channels * embedding_dim
        fixed.norms += embedding_dim
        return cls(
            tier=tier_name,
            input_size=input_size,
            embedding_dim=embedding_dim,
            layer_macs=macs,
            layer_norms=norms,
            fixed_macs=fixed.macs,
            fixed_norms=fixed.norms,
            _pairs=_pair_tables(macs + 2 * norms),
        )

    @property
    def layer_flops(self) -> NDArray[np.int64]:
        """(20, 40) int64: FLOPs of each choice of each layer."""
        return self.layer_macs + 2 * self.layer_norms

    @property
    def fixed_flops(self) -> int:
        """FLOPs of stem, head and embedding."""
        return self.fixed_macs + 2 * self.fixed_norms

    def count(self, architecture: Architecture) -> int:
        """FLOPs of one architecture, as fvcore counts them.

        Raises:
            UserError: its tier or embedding size is not that of the table.
        """
        return self.fixed_flops + self._sum_of_choices(self.layer_flops, architecture)

    def macs(self, architecture: Architecture) -> int:
        """MACs of one architecture with folded batch norms: convolutions and linear layers only.

        Raises:
            UserError: its tier or embedding size is not that of the table.
        """
        return self.fixed_macs + self._sum_of_choices(self.layer_macs, architecture)

    def counts(self, blocks: Genes, widths: Genes) -> NDArray[np.int64]:
        """FLOPs of N architectures.

        Args:
            blocks: (N, 20) block indices 0-3.
            widths: (N, 20) width indices 0-9.

        Returns:
            (N,) int64.
        """
        totals = np.empty(len(blocks), np.int64)
        for start in range(0, len(blocks), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            choices = blocks[rows] * np.uint8(len(WIDTHS)) + widths[rows]  # (n, 20)
            pairs = np.ascontiguousarray(choices, np.uint8).view("<u2")  # (n, 10)
            columns = pairs.T.astype(np.intp)  # (10, n)
            total = self._pairs[0].take(columns[0])
            for table, column in zip(self._pairs[1:], columns[1:], strict=True):
                total += table.take(column)
            totals[rows] = total
        return totals + self.fixed_flops

    def smallest(self) -> Architecture:
        """The architecture with the fewest FLOPs."""
        return self._architecture(self.layer_flops.argmin(1))

    def largest(self) -> Architecture:
        """The architecture with the most FLOPs."""
        return self._architecture(self.layer_flops.argmax(1))

    def _architecture(self, choices: NDArray[np.intp]) -> Architecture:
        """The architecture of (20,) choices."""
        blocks, widths = np.divmod(choices, len(WIDTHS))
        return Architecture(
            tier=self.tier,
            blocks=tuple(blocks.tolist()),
            widths=tuple(widths.tolist()),
            embedding_dim=self.embedding_dim,
            input_size=self.input_size,
        )

    def _sum_of_choices(self, costs: NDArray[np.int64], architecture: Architecture) -> int:
        """The cost of an architecture, given the (20, 40) costs of each layer's choices."""
        if (architecture.tier, architecture.embedding_dim) != (self.tier, self.embedding_dim):
            raise UserError(
                f"This FLOPs table is of the {self.tier} tier with {self.embedding_dim}-d "
                f"embeddings, but the architecture is of {architecture.tier} with "
                f"{architecture.embedding_dim}-d.",
                "Use FlopsTable.of(tier, embedding_dim=...) with the values of the architecture.",
            )
        choices = np.array(architecture.blocks) * len(WIDTHS) + np.array(architecture.widths)
        return int(costs[np.arange(DEPTH), choices].sum())


def _pair_tables(costs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Summed costs of pairs of neighbouring layers, (10, 256 * 40).

    Two neighbouring uint8 choices (a, b), read as one little-endian uint16, are a + 256 b, so the
    genes themselves index the table and no index has to be computed.
    """
    first, second = costs[0::2], costs[1::2]  # (10, 40) each
    tables = np.zeros((DEPTH // 2, CHOICES, 256), np.int64)
    tables[:, :, :CHOICES] = second[:, :, None] + first[:, None, :]
    return tables.reshape(DEPTH // 2, CHOICES * 256)
