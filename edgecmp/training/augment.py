"""Augmentation of batches of training images on the CPU: geometry, colour and erasing.

There are no flips, because mirror images may be different identities: a hand that points left and
one that points right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Augmentation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Strengths of the random changes, which are sampled for each image separately.

    Attributes:
        rotation: bound of the angle, in degrees.
        scale: bound of the logarithm of the zoom.
        stretch: bound of the logarithm of the aspect ratio.
        shift: bound of the shift, as a share of the image size.
        brightness: bound of the offset, as a share of 128.
        contrast: bound of the logarithm of the factor.
        saturation: bound of the logarithm of the factor.
        hue: bound of the rotation about the gray axis, in radians.
        gray: probability of dropping all colour.
        erase: probability of erasing a rectangle of up to a third of each side.
    """

    rotation: float = 15.0
    scale: float = 0.2
    stretch: float = 0.1
    shift: float = 0.08
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.5
    hue: float = 0.3
    gray: float = 0.1
    erase: float = 0.3

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augments a batch.

        Args:
            images: uint8 (N, S, S, 3).
            generator: of the random numbers.

        Returns:
            Float32 (N, 3, S, S) in 0..255.
        """

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator) * 2 - 1

        n, size = images.shape[:2]
        x = images.permute(0, 3, 1, 2).float() - 255.0  # white is 0, the value of padding
        angle = uniform(n) * math.radians(self.rotation)
        zoom = torch.exp(uniform(n) * self.scale)
        stretch = torch.exp(uniform(n) * self.stretch / 2)
        shift = uniform(2, n) * 2 * self.shift
        cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        rows = [
            torch.stack([cos * stretch, -sin * stretch, shift[0]], 1),
            torch.stack([sin / stretch, cos / stretch, shift[1]], 1),
        ]
        grid = F.affine_grid(torch.stack(rows, 1), [n, 3, size, size], align_corners=False)
        x = F.grid_sample(x, grid, "bilinear", "zeros", align_corners=False) + 255.0

        colour = self._colour_matrices(n, generator)  # (N, 3, 3)
        contrast = torch.exp(uniform(n) * self.contrast)[:, None, None]
        offset = (uniform(n) * self.brightness * 128.0)[:, None, None] + 128.0
        x = torch.bmm(colour * contrast, x.flatten(2) - 128.0) + offset
        x = x.view(n, 3, size, size).clamp_(0.0, 255.0)
        return self._erase(x, generator)

    def _colour_matrices(self, n: int, generator: torch.Generator) -> Tensor:
        """(N, 3, 3): hue rotation about the gray axis, then saturation."""
        angle = (torch.rand(n, generator=generator) * 2 - 1) * self.hue
        saturation = torch.exp((torch.rand(n, generator=generator) * 2 - 1) * self.saturation)
        saturation = saturation * (torch.rand(n, generator=generator) >= self.gray)
        third = torch.full((3, 3), 1 / 3)
        cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
        rotation = (
            third
            + torch.cos(angle)[:, None, None] * (torch.eye(3) - third)
            + torch.sin(angle)[:, None, None] * cross
        )
        luma = torch.tensor([0.299, 0.587, 0.114]).expand(3, 3)
        keep = saturation[:, None, None]
        return torch.bmm(keep * torch.eye(3) + (1 - keep) * luma, rotation)

    def _erase(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Fills a random rectangle with a random colour, in a random share of the images."""
        n, _, size, _ = x.shape
        draws = torch.rand(n, 8, generator=generator)
        steps = torch.arange(size)
        inside = []
        for axis in (0, 1):
            extent = (0.1 + 0.25 * draws[:, axis]) * size
            start = draws[:, 2 + axis] * (size - extent)
            inside.append((steps >= start[:, None]) & (steps < (start + extent)[:, None]))  # (N, S)
        chosen = draws[:, 4] < self.erase
        mask = (
            inside[0][:, None, :, None] & inside[1][:, None, None, :] & chosen[:, None, None, None]
        )
        return torch.where(mask, draws[:, 5:8, None, None] * 255.0, x)
