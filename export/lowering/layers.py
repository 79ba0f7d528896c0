"""The operations of a lowered network that torch has no module for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Add", "Affine", "Concat", "Mean", "Multiply", "Normalise", "Shuffle", "Take"]


class Affine(nn.Module):
    """x * scale + shift for each channel of (N, C, H, W) or (N, C)."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale[:, None, None])
        self.shift = nn.Parameter(shift[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """The scaled and shifted values, in the shape of `x`."""
        if x.ndim == 2:
            return x * self.scale.flatten() + self.shift.flatten()
        return x * self.scale + self.shift


class Take(nn.Module):
    """The channels start, start + step, ... below stop of (N, C, H, W)."""

    def __init__(self, start: int, stop: int, step: int) -> None:
        super().__init__()
        self.start, self.stop, self.step = start, stop, step

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, H, W), where K channels are taken."""
        return x[:, self.start : self.stop : self.step]


class Concat(nn.Module):
    """Feature maps joined along the channels."""

    def forward(self, *xs: Tensor) -> Tensor:
        """(N, C1, H, W), (N, C2, H, W), ... to (N, C1 + C2 + ..., H, W)."""
        return torch.cat(xs, 1)


class Add(nn.Module):
    """The sum of two feature maps and, if `relu`, a ReLU."""

    def __init__(self, relu: bool) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two (N, C, H, W) to one."""
        return F.relu(x + y) if self.relu else x + y


class Mean(nn.Module):
    """(N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """The mean over height and width."""
        return x.mean((2, 3))


class Multiply(nn.Module):
    """(N, C, H, W) multiplied by (N, C), channel by channel."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C) to (N, C, H, W)."""
        return x * y[:, :, None, None]


class Shuffle(nn.Module):
    """The channels of (N, C, H, W) in `groups` groups, interleaved."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """The same channels in another order, in the shape of `x`."""
        _, channels, height, width = x.shape
        grouped = x.reshape(-1, self.groups, channels // self.groups, height, width)
        return grouped.transpose(1, 2).reshape(-1, channels, height, width)


class Normalise(nn.Module):
    """(N, D) to unit length."""

    def forward(self, x: Tensor) -> Tensor:
        """The rows of (N, D) divided by their lengths."""
        return F.normalize(x, dim=1)
