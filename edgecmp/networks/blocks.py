"""The four choice blocks of the SPOS space, each usable at any prefix of its full width.

One implementation serves the supernet (which slices) and the plain network (which does not), so
the two cannot drift apart.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.networks.depthwise import DepthwiseConv2d
from edgecmp.networks.tiers import BLOCKS

__all__ = ["ChoiceBlock", "ConvBN", "Embedding", "even_odd_split"]


class ConvBN(nn.Module):
    """Convolution without bias, batch norm and, if `relu`, a ReLU.

    `forward(x, out)` uses the first `out` filters only, over the first channels that `x` has:
    widths share weights by slicing, never by masking (method: masked channels would leave an
    affine batch norm as relu(beta) and leak).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv: nn.Conv2d = (
            DepthwiseConv2d(out_channels, kernel, stride)
            if depthwise
            else nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = relu

    @property
    def depthwise(self) -> bool:
        """Whether each channel is filtered by itself."""
        return isinstance(self.conv, DepthwiseConv2d)

    def sliced_weight(self, out: int, inputs: int) -> Tensor:
        """The convolution weight of the first `out` filters over the first `inputs` channels."""
        weight = self.conv.weight[:out]
        return (weight if self.depthwise else weight[:, :inputs]).contiguous()

    def forward(self, x: Tensor, out: int | None = None) -> Tensor:
        """(N, C, H, W) to (N, out, H', W'); without `out` all filters are used."""
        if out is None:
            x = self.bn(self.conv(x))
        else:
            conv, weight = self.conv, self.sliced_weight(out, x.shape[1])
            if isinstance(conv, DepthwiseConv2d):
                x = conv.with_weight(x, weight)
            else:
                x = F.conv2d(x, weight, None, conv.stride, conv.padding)
            bn = self.bn
            assert bn.running_mean is not None
            assert bn.running_var is not None
            assert bn.momentum is not None
            x = F.batch_norm(
                x,
                bn.running_mean[:out],
                bn.running_var[:out],
                bn.weight[:out],
                bn.bias[:out],
                bn.training,
                bn.momentum,
                bn.eps,
            )
        return F.relu(x) if self.relu else x


def even_odd_split(x: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) to its even and its odd channels, (N, C/2, H, W) each: SPOS's shuffle."""
    n, c, h, w = x.shape
    pairs = x.view(n, c // 2, 2, h, w)  # (N, C/2, 2, H, W)
    return pairs[:, :, 0], pairs[:, :, 1]


class ChoiceBlock(nn.Module):
    """One of the four blocks (see `BLOCKS`) with a main branch of up to `mid_channels` channels.

    Stride 1: the even channels pass, the odd ones go through the main branch. Stride 2: both the
    projection and the main branch see the whole input. The two are concatenated.
    """

    def __init__(
        self, block: int, *, in_channels: int, out_channels: int, mid_channels: int, stride: int
    ) -> None:
        super().__init__()
        self.stride = stride
        self.mid_channels = mid_channels
        self.outer: tuple[int, ...] = (0, 5) if BLOCKS[block] == "xception" else (2,)
        inputs = in_channels if stride == 2 else in_channels // 2
        outputs = out_channels - inputs
        if BLOCKS[block] == "xception":
            main = [
                ConvBN(inputs, inputs, kernel=3, stride=stride, depthwise=True, relu=False),
                ConvBN(inputs, mid_channels),
                ConvBN(mid_channels, mid_channels, kernel=3, depthwise=True, relu=False),
                ConvBN(mid_channels, mid_channels),
                ConvBN(mid_channels, mid_channels, kernel=3, depthwise=True, relu=False),
                ConvBN(mid_channels, outputs),
            ]
        else:
            kernel = (3, 5, 7)[block]
            main = [
                ConvBN(inputs, mid_channels),
                ConvBN(
                    mid_channels,
                    mid_channels,
                    kernel=kernel,
                    stride=stride,
                    depthwise=True,
                    relu=False,
                ),
                ConvBN(mid_channels, outputs),
            ]
        self.main = nn.ModuleList(main)
        self.proj: nn.Sequential | None = None
        if stride == 2:
            kernel = 3 if BLOCKS[block] == "xception" else (3, 5, 7)[block]
            self.proj = nn.Sequential(
                ConvBN(inputs, inputs, kernel=kernel, stride=2, depthwise=True, relu=False),
                ConvBN(inputs, inputs),
            )

    def outputs_of(self, position: int, mid: int) -> int:
        """Channels that layer `position` of the main branch gives when the width is `mid`."""
        layer = self.main[position]
        assert isinstance(layer, ConvBN)
        return layer.conv.out_channels if position in self.outer else mid

    def forward(self, x: Tensor, mid: int | None = None) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride), the main branch `mid` channels wide."""
        if self.proj is None:
            passed, x = even_odd_split(x)
        else:
            passed = self.proj(x)
        for position, layer in enumerate(self.main):
            x = layer(x, None if mid is None else self.outputs_of(position, mid))
        return torch.cat((passed, x), 1)


class Embedding(nn.Module):
    """Linear layer and batch norm, to unit length.

    The pooled features of a fresh network all point the same way; the batch norm centres them, and
    training starts at once instead of after epochs. On the device it is folded into the linear
    layer, so it costs nothing there.
    """

    def __init__(self, channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, embedding_dim, bias=False)
        self.bn = nn.BatchNorm1d(embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Pooled features (N, C) to embeddings (N, D) of unit length."""
        return F.normalize(self.bn(self.linear(x)), dim=1)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (D, C) and bias (D,), float64, of the one linear layer that both are."""
        assert self.bn.running_mean is not None
        assert self.bn.running_var is not None
        scale = self.bn.weight.double() / torch.sqrt(self.bn.running_var.double() + self.bn.eps)
        bias = self.bn.bias.double() - self.bn.running_mean.double() * scale
        return self.linear.weight.double() * scale[:, None], bias
