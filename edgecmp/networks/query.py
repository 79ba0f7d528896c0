"""QueryNet: the network of one architecture, which is trained, exported and deployed."""

from __future__ import annotations

from torch import Tensor, nn

from edgecmp.networks.blocks import ChoiceBlock, ConvBN, Embedding
from edgecmp.networks.tiers import Genotype, tier

__all__ = ["QueryNet", "initialise"]


def initialise(network: nn.Module) -> None:
    """Initialises as SPOS does: He (fan-out) for convolutions, N(0, 0.01) for linear layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)


class QueryNet(nn.Module):
    """Stem, 20 choice blocks, head, global average pooling and an embedding of unit length.

    Attributes:
        stem: 3x3 convolution of stride 2.
        blocks: the 20 `ChoiceBlock`s.
        head: 1x1 convolution.
        embedding: linear layer to D values and its batch norm.
    """

    def __init__(self, architecture: Genotype) -> None:
        super().__init__()
        space = tier(architecture.tier)
        self.architecture = architecture
        self.stem = ConvBN(3, space.stem_channels, kernel=3, stride=2)
        self.blocks = nn.ModuleList(
            ChoiceBlock(
                block,
                in_channels=layer.in_channels,
                out_channels=layer.out_channels,
                mid_channels=layer.mid_channels(width),
                stride=layer.stride,
            )
            for layer, block, width in zip(
                space.layers, architecture.blocks, architecture.widths, strict=True
            )
        )
        self.head = ConvBN(space.stage_channels[-1], space.head_channels)
        self.embedding = Embedding(space.head_channels, architecture.embedding_dim)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to the pooled features (N, C) that the embedding reads."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        pooled: Tensor = self.head(x).mean((2, 3))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to embeddings (N, D) of unit length."""
        embeddings: Tensor = self.embedding(self.features(x))
        return embeddings
