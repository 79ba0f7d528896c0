"""Augmentation of batches of training images on the CPU: geometry, colour and erasing.

There are no flips, because mirror images may be different identities: a hand that points left and
one that points right.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from edgecmp.training.draws import Draws
from edgecmp.training.fields import Number, Share

__all__ = ["AUGMENTATIONS", "LIGHT", "NONE", "STRONG", "Augmentation"]


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

    rotation: Number = 15.0
    scale: Number = 0.2
    stretch: Number = 0.1
    shift: Number = 0.08
    brightness: Number = 0.3
    contrast: Number = 0.3
    saturation: Number = 0.5
    hue: Number = 0.3
    gray: Share = 0.1
    erase: Share = 0.3

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augments a batch: uint8 (N, S, S, 3) to float32 (N, 3, S, S) in 0..255."""
        return self.draw(len(images), generator).apply(images)

    def draw(self, n: int, generator: torch.Generator) -> Draws:
        """The changes of a batch of n images.

        Args:
            n: number of images.
            generator: of the random numbers.
        """

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator) * 2 - 1

        angle = uniform(n) * math.radians(self.rotation)
        zoom = torch.exp(uniform(n) * self.scale)
        stretch = torch.exp(uniform(n) * self.stretch / 2)
        shift = uniform(2, n) * 2 * self.shift
        cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        rows = [
            torch.stack([cos * stretch, -sin * stretch, shift[0]], 1),
            torch.stack([sin / stretch, cos / stretch, shift[1]], 1),
        ]
        colour = self._colour_matrices(n, generator)  # (N, 3, 3)
        contrast = torch.exp(uniform(n) * self.contrast)[:, None, None]
        offset = (uniform(n) * self.brightness * 128.0)[:, None, None] + 128.0
        erasing = torch.rand(n, 8, generator=generator)
        return Draws(
            affine=torch.stack(rows, 1),
            colour=colour * contrast,
            offset=offset,
            extents=erasing[:, :2],
            starts=erasing[:, 2:4],
            erased=erasing[:, 4] < self.erase,
            fill=erasing[:, 5:],
        )

    def reach(self, side: float) -> float:
        """How far from the centre a changed image may show points of the original.

        Args:
            side: half the side of the square that is shown, as a share of half the image's side.

        Returns:
            A bound of the distance along either axis, as the same share.
        """
        turned = math.radians(min(self.rotation, 45.0))
        wider = math.exp(self.scale + self.stretch / 2)
        return side * (math.cos(turned) + math.sin(turned)) * wider + 2 * self.shift

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


def _times(factor: float) -> Augmentation:
    """The default strengths and probabilities, multiplied by a factor."""
    return Augmentation(
        **{name: factor * strength for name, strength in asdict(Augmentation()).items()}
    )


NONE = _times(0.0)
"""The images as they are."""

LIGHT = _times(0.3)
"""For networks that start from trained weights, or are trained for a short time."""

STRONG = Augmentation(
    rotation=20.0,
    scale=0.25,
    stretch=0.15,
    shift=0.1,
    brightness=0.4,
    contrast=0.4,
    saturation=0.7,
    hue=0.5,
    gray=0.2,
    erase=0.5,
)
"""For a network that overfits the training images under the default augmentation."""

AUGMENTATIONS = {"none": NONE, "light": LIGHT, "strong": STRONG}
"""The augmentations with a name, as `--augment` takes them."""
