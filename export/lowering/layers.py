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
        if x.ndim == 2:
            return x * self.scale.flatten() + self.shift.flatten()
        return x * self.scale + self.shift


class Take(nn.Module):
    """The channels start, start + step, ... below stop of (N, C, H, W)."""

    def __init__(self, start: int, stop: int, step: int) -> None:
        super().__init__()
        self.start, self.stop, self.step = start, stop, step

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop : self.step]


class Concat(nn.Module):
    """Feature maps joined along the channels."""

    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, 1)


class Add(nn.Module):
    """The sum of two feature maps and, if `relu`, a ReLU."""

    def __init__(self, relu: bool) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.relu(x + y) if self.relu else x + y


class Mean(nn.Module):
    """(N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Multiply(nn.Module):
    """(N, C, H, W) multiplied by (N, C), channel by channel."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y[:, :, None, None]


class Shuffle(nn.Module):
    """The channels of (N, C, H, W) in `groups` groups, interleaved."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        grouped = x.reshape(-1, self.groups, channels // self.groups, height, width)
        return grouped.transpose(1, 2).reshape(-1, channels, height, width)


class Normalise(nn.Module):
    """(N, D) to unit length."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1)
