"""Preprocessing: how an image becomes a network's input, and the fingerprint of that definition.

Training, evaluation, export, the gallery and the device all use the same `Preprocessing`. Its
fingerprint is stored in every bundle, gallery index and exported file, so that a mismatch between
two of them is detected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict

from edgecmp.decoding import flat
from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import sha256_json
from edgecmp.preprocessing.fields import Colours, Integer, Size, Triple
from edgecmp.preprocessing.geometry import (
    Filter,
    Geometry,
    Placement,
    cropped,
    padded,
    stretched,
)
from edgecmp.preprocessing.normalisation import check_normalisation

__all__ = ["Colour", "Preprocessing"]

Colour: TypeAlias = Literal["RGB", "BGR"]

LARGEST_SIDE = 4096
LARGEST_SHORT_SIDE = 8192
CHANNELS = 3


class _Document(BaseModel):
    """The document of `Preprocessing.to_dict`; the last two keys came later than the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_size: Size
    mean: Triple
    std: Triple
    background: Colours
    fit: Geometry
    resize: Filter
    colour: Colour
    short_side: Integer | None = None
    profile: Literal["sRGB"] = "sRGB"


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """The image at the network's size, then `(pixel / 255 - mean) / std`.

    Colours are sRGB (see `edgecmp.decoding`). Sizes change by a filter of Pillow, which is
    antialiased when an image shrinks.

    Args:
        input_size: height of the prepared image in pixels, and its width unless `width` is given.
        width: of the prepared image, if it is not square.
        mean: subtracted from the channels, which are in 0..1, in the order of `colour`.
        std: divides the channels after the subtraction.
        background: red, green and blue, 0..255, around the image and under transparent pixels.
        geometry: "pad": the complete image in the centre, as large as it fits; "crop": the centre
            of the image after its shorter side was resized to `short_side`; "stretch": the complete
            image without keeping its aspect ratio.
        short_side: for "crop", in pixels; by default the longer side of the prepared image.
        filter: of the resizing.
        colour: the order of the channels that the network reads.

    Raises:
        UserError: a value is outside its range.
    """

    input_size: int
    width: int | None = None
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    background: tuple[int, int, int] = (255, 255, 255)
    geometry: Geometry = "pad"
    short_side: int | None = None
    filter: Filter = "bilinear"
    colour: Colour = "RGB"

    def __post_init__(self) -> None:
        """Refuses what is outside its range, and gives equal definitions equal fields."""
        for length in self.size:
            if not 1 <= length <= LARGEST_SIDE:
                raise UserError(
                    f"An input size of {length} pixels cannot be used.",
                    f"Choose an input size from 1 to {LARGEST_SIDE} pixels.",
                )
        if not (len(self.mean) == len(self.std) == len(self.background) == CHANNELS):
            raise UserError(
                "The mean, std and background of the preprocessing are not three numbers each.",
                "Write one number for each of the three channels.",
            )
        check_normalisation(self.mean, self.std)
        if not all(0 <= value <= 255 for value in self.background):
            raise UserError(
                f"The background {self.background} is outside its range.",
                "Choose values from 0 to 255 for red, green and blue.",
            )
        object.__setattr__(self, "width", None if self.width == self.input_size else self.width)
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        object.__setattr__(self, "short_side", self._short_side())

    def _short_side(self) -> int | None:
        """`short_side` with its default, or None if nothing is cropped."""
        if self.geometry != "crop":
            if self.short_side is not None:
                raise UserError(
                    f"A short side of {self.short_side} pixels has no effect on images that are "
                    f'fitted by "{self.geometry}".',
                    'Remove it, or choose the fit "crop".',
                )
            return None
        least = max(self.size)
        if self.short_side is None:
            return least
        if not least <= self.short_side <= LARGEST_SHORT_SIDE:
            raise UserError(
                f"Images whose short side is resized to {self.short_side} pixels cannot be cropped "
                f"to {self.size_text} pixels.",
                f"Choose a short side from {least} to {LARGEST_SHORT_SIDE} pixels.",
            )
        return self.short_side

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a prepared image, in pixels."""
        return self.input_size, self.input_size if self.width is None else self.width

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a prepared image: height, width and channels."""
        return (*self.size, CHANNELS)

    @property
    def size_text(self) -> str:
        """Height and width for messages: "112 x 96"."""
        height, width = self.size
        return f"{height} x {width}"

    def keeps(self, width: int, height: int) -> bool:
        """Whether an upright RGB image of this size is used without any change."""
        same = (height, width) == self.size
        return same and self.short_side in (None, min(height, width))

    def fit(self, image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The image at the network's size, rotated as its EXIF data says.

        Args:
            image: any mode Pillow knows; transparent pixels show the background.

        Returns:
            (H, W, 3) uint8, RGB whatever `colour` is.
        """
        upright = flat(image, self.background)
        if self.keeps(*upright.size):
            return np.array(upright)
        return np.array(self.placement(*upright.size).framed(upright, self.filter, self.background))

    def placement(self, width: int, height: int) -> Placement:
        """Where an upright image of this width and height lies in what the network reads."""
        size, frame = (width, height), (self.size[1], self.size[0])
        if self.short_side is not None:
            return cropped(size, frame, self.short_side)
        return stretched(size, frame) if self.geometry == "stretch" else padded(size, frame)

    def normalise(self, images: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
        """The network's input for prepared images.

        Args:
            images: (N, H, W, 3) uint8, RGB.

        Returns:
            (N, 3, H, W) float32 in channels_last memory, in the order of `colour`.
        """
        pixels = torch.from_numpy(np.require(images, np.uint8, ["C", "W"]))
        planes = pixels.permute(0, 3, 1, 2).to(torch.float32)  # (N, 3, H, W), still NHWC in memory
        return self.normalise_planes(planes)

    def normalise_planes(self, planes: torch.Tensor) -> torch.Tensor:
        """`normalise` for augmented images (N, 3, H, W), float32 in 0..255, which it overwrites."""
        mean, std = self._statistics()
        planes = planes.contiguous(memory_format=torch.channels_last)
        return self.ordered(planes).div_(255).sub_(mean).div_(std)

    def denormalise(self, inputs: torch.Tensor) -> torch.Tensor:
        """The RGB images in 0..255, (N, 3, H, W), that `normalise_planes` made `inputs` from."""
        mean, std = self._statistics()
        return self.ordered((inputs * std + mean) * 255)

    def ordered(self, planes: torch.Tensor) -> torch.Tensor:
        """The planes (N, 3, H, W) of RGB images in the order of `colour`, and the reverse."""
        return planes if self.colour == "RGB" else planes.flip(1)

    def _statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and std as (1, 3, 1, 1)."""
        return torch.tensor(self.mean).view(1, 3, 1, 1), torch.tensor(self.std).view(1, 3, 1, 1)

    def same_pixels(self, other: Preprocessing) -> bool:
        """Whether both prepare every image alike, apart from the order and scale of channels."""
        fields = ("size", "background", "geometry", "short_side", "filter")
        return all(getattr(self, name) == getattr(other, name) for name in fields)

    def check_trainable(self, name: str) -> None:
        """Refuses the definition for a network that edgecmp trains and exports.

        Args:
            name: of the network, for the error.

        Raises:
            UserError: images are not padded RGB squares.
        """
        if not self.same_pixels(
            Preprocessing(input_size=self.input_size, background=self.background)
        ):
            found = f"{self.geometry} to {self.size_text} pixels, {self.filter}"
        elif self.colour != "RGB":
            found = self.colour
        else:
            return
        raise UserError(
            f"{name} prepares its images in a way that edgecmp does not train or export ({found}).",
            "Use a network for RGB images that are padded to a square by the bilinear filter.",
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that is stored in bundles and exported files."""
        return {
            "input_size": self.input_size if self.width is None else list(self.size),
            "mean": list(self.mean),
            "std": list(self.std),
            "background": list(self.background),
            "fit": self.geometry,
            "short_side": self.short_side,
            "resize": self.filter,
            "colour": self.colour,
            "profile": "sRGB",
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Preprocessing:
        """Reads what `to_dict` wrote; earlier documents lack "short_side" and "profile".

        Raises:
            UserError: a field is missing, unknown, outside its range, or has a value that this
                version does not support; it is named.
        """
        way_out = "Use the version of edgecmp that wrote the file, or create the file again."
        found = parse_document(
            _Document, document, refusal="The preprocessing cannot be read", way_out=way_out
        )
        height, width = found.input_size
        return cls(
            input_size=height,
            width=width,
            mean=found.mean,
            std=found.std,
            background=found.background,
            geometry=found.fit,
            short_side=found.short_side,
            filter=found.resize,
            colour=found.colour,
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the document; equal if and only if images are prepared alike."""
        return sha256_json(self.to_dict())
