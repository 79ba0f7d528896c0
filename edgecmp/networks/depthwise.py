"""Depthwise convolution with a weight gradient that is fast on small feature maps.

On a CPU, torch's weight gradient of a 5x5 or 7x7 depthwise convolution costs many times the forward
pass, and on small maps it dominates a training step. There it is cheaper to correlate every input
pixel with every output pixel, by one matrix product per channel, and to sum, for each weight, the
pairs of pixels that it connects.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = [
    "DepthwiseConv2d",
    "depthwise_conv2d",
    "is_faster",
    "use_fast_depthwise",
    "weight_gradient",
]


class DepthwiseConv2d(nn.Conv2d):
    """Filters each channel separately, padded to keep the map's size; without bias."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        return self.with_weight(x, self.weight)

    def with_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        """The convolution with another weight (C, 1, K, K), such as a slice of the module's."""
        stride, padding = self.stride[0], self.kernel_size[0] // 2
        return depthwise_conv2d(x, weight, (stride, stride), (padding, padding))


def use_fast_depthwise(network: nn.Module) -> int:
    """Turns the depthwise `nn.Conv2d` of a network into `DepthwiseConv2d`, in place.

    Their weights do not change.

    Returns:
        The number of layers that were turned.
    """
    found = [
        layer for layer in network.modules() if type(layer) is nn.Conv2d and _is_depthwise(layer)
    ]
    for layer in found:
        layer.__class__ = DepthwiseConv2d
    return len(found)


def _is_depthwise(layer: nn.Conv2d) -> bool:
    """Whether the layer computes the same as a `DepthwiseConv2d` of its kernel and stride."""
    kernel, stride, channels = layer.kernel_size[0], layer.stride[0], layer.in_channels
    return (
        layer.bias is None
        and layer.groups == channels == layer.out_channels
        and (layer.kernel_size, layer.stride) == ((kernel, kernel), (stride, stride))
        and (layer.padding, layer.dilation) == ((kernel // 2, kernel // 2), (1, 1))
        and layer.padding_mode == "zeros"
    )


def depthwise_conv2d(
    x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """`F.conv2d(x, weight, None, stride, padding, groups=C)`, bit for bit, with a faster gradient.

    The gradient of `x` is torch's; that of `weight` equals torch's up to float rounding. Tracing,
    compiling and inference use the plain convolution.

    Args:
        x: (N, C, H, W).
        weight: (C, 1, kH, kW).
        stride: of rows and columns.
        padding: of rows and columns.

    Returns:
        (N, C, H', W').
    """
    if (
        isinstance(x, Tensor)  # not a proxy of torch.fx
        and torch.is_grad_enabled()
        and weight.requires_grad
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and not torch.compiler.is_compiling()
        and is_faster(x.shape[2:], weight.shape[2:])
    ):
        y: Tensor = _WithFastGradient.apply(x, weight, stride, padding)  # type: ignore[no-untyped-call]
        return y
    return F.conv2d(x, weight, None, stride, padding, groups=weight.shape[0])


def is_faster(size: Sequence[int], kernel: Sequence[int]) -> bool:
    """Whether `weight_gradient` is faster than torch's for maps (H, W) and kernels (kH, kW).

    Measured on maps of 2x2 to 32x32: it is faster if the kernel is large compared with the map,
    and for a 3x3 kernel only on maps up to 2x2.
    """
    pixels, taps = size[0] * size[1], kernel[0] * kernel[1]
    return pixels <= 4 if taps <= 9 else pixels <= 4 * taps


def weight_gradient(
    x: Tensor,
    gradient: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """Gradient (C, 1, kH, kW) of the weight of a depthwise convolution.

    Args:
        x: the input, (N, C, H, W).
        gradient: of the output, (N, C, H', W').
        kernel: kH and kW.
        stride: of rows and columns.
        padding: of rows and columns.
    """
    pairs = torch.bmm(_rows(x).transpose(1, 2), _rows(gradient))  # (C, H*W, H'*W')
    taps = _taps(
        (x.shape[2], x.shape[3]), (gradient.shape[2], gradient.shape[3]), kernel, stride, padding
    )
    summed = pairs.view(len(pairs), -1) @ taps.to(x.dtype)  # (C, kH*kW)
    return summed.view(len(pairs), 1, *kernel)


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) to (C, N, H*W)."""
    n, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(n * h * w, c).t().contiguous().view(c, n, h * w)


@functools.lru_cache(maxsize=64)
def _taps(
    size: tuple[int, int],
    out: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """(H*W*H'*W', kH*kW): 1 if the weight connects the input pixel with the output pixel."""
    rows, columns = (
        _taps_along(size[axis], out[axis], kernel[axis], stride[axis], padding[axis])
        for axis in (0, 1)
    )
    return torch.einsum("aci,bdj->abcdij", rows, columns).reshape(-1, kernel[0] * kernel[1])


def _taps_along(size: int, out: int, kernel: int, stride: int, padding: int) -> Tensor:
    """(H, H', kH): the same for one axis."""
    tap = torch.arange(size)[:, None] - torch.arange(out) * stride + padding
    return (tap[:, :, None] == torch.arange(kernel)).float()


class _WithFastGradient(torch.autograd.Function):
    """The convolution with `weight_gradient` as the gradient of its weight."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = torch.ops.aten.convolution_backward(
                gradient,
                x,
                weight,
                None,
                ctx.stride,
                ctx.padding,
                (1, 1),
                False,
                (0, 0),
                weight.shape[0],
                (True, False, False),
            )[0]
        if ctx.needs_input_grad[1]:
            kernel = (weight.shape[2], weight.shape[3])
            of_weight = weight_gradient(x, gradient, kernel, ctx.stride, ctx.padding)
        return of_x, of_weight, None, None
