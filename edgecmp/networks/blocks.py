"""The four choice blocks of the SPOS space, each usable with any prefix of its channels.

The supernet, which slices the weights, and the plain network, which does not, share one
implementation, so that they always compute the same function.

Source: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling",
ECCV 2020, https://arxiv.org/abs/1904.00420; the shuffle blocks are those of ShuffleNet V2,
https://arxiv.org/abs/1807.11164.
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

    `forward(x, out)` uses only the first `out` filters, and of each filter only as many channels as
    `x` has. Widths share weights by slicing and not by masking: an affine batch norm would turn the
    zeros of masked channels into relu(beta).
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
        """Whether each channel is filtered separately."""
        return isinstance(self.conv, DepthwiseConv2d)

    def sliced_weight(self, out: int, inputs: int) -> Tensor:
        """The convolution weight of the first `out` filters over the first `inputs` channels."""
        weight = self.conv.weight[:out]
        return (weight if self.depthwise else weight[:, :inputs]).contiguous()

    def forward(self, x: Tensor, out: int | None = None) -> Tensor:
        """(N, C, H, W) to (N, out, H', W'); None uses all filters."""
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
    """(N, C, H, W) to the even and the odd channels, (N, C/2, H, W) each: the shuffle of SPOS."""
    n, c, h, w = x.shape
    pairs = x.view(n, c // 2, 2, h, w)  # (N, C/2, 2, H, W)
    return pairs[:, :, 0], pairs[:, :, 1]


class ChoiceBlock(nn.Module):
    """One of the four blocks (see `BLOCKS`) with a main branch of up to `mid_channels` channels.

    With stride 1 the even channels are passed through and the main branch reads the odd ones. With
    stride 2 both the projection and the main branch read all channels. The two outputs are
    concatenated.

    Args:
        block: index in `BLOCKS`.
        in_channels: of the block's input.
        out_channels: of the block's output.
        mid_channels: inside the main branch.
        stride: 1 or 2.
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
        """Output channels of layer `position` of the main branch at the width `mid`."""
        layer = self.main[position]
        assert isinstance(layer, ConvBN)
        return layer.conv.out_channels if position in self.outer else mid

    def forward(self, x: Tensor, mid: int | None = None) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride), with `mid` channels in the main branch."""
        if self.proj is None:
            passed, x = even_odd_split(x)
        else:
            passed = self.proj(x)
        for position, layer in enumerate(self.main):
            x = layer(x, None if mid is None else self.outputs_of(position, mid))
        return torch.cat((passed, x), 1)


class Embedding(nn.Module):
    """Linear layer, batch norm and normalisation to unit length.

    The pooled features of an untrained network all have nearly the same direction. The batch norm
    centres them, so that training makes progress from the first epoch and not only after several.
    Export folds it into the linear layer, so it costs nothing on the device.
    """

    def __init__(self, channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, embedding_dim, bias=False)
        self.bn = nn.BatchNorm1d(embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Pooled features (N, C) to embeddings (N, D) of unit length."""
        return F.normalize(self.bn(self.linear(x)), dim=1)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (D, C) and bias (D,) of the linear layer with batch norm folded in, float64."""
        assert self.bn.running_mean is not None
        assert self.bn.running_var is not None
        scale = self.bn.weight.double() / torch.sqrt(self.bn.running_var.double() + self.bn.eps)
        bias = self.bn.bias.double() - self.bn.running_mean.double() * scale
        return self.linear.weight.double() * scale[:, None], bias
