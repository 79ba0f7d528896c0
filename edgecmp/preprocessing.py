"""Preprocessing: how an image becomes a network's input, and the fingerprint of that definition.

Training, evaluation, export, the gallery and the device all use the same `Preprocessing`. Its
fingerprint is stored in every bundle, gallery index and exported file, so that a mismatch between
two of them is detected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from edgecmp.errors import UserError
from edgecmp.files import sha256_json

__all__ = ["Preprocessing"]

# The same in all versions so far; written into the document for readers outside edgecmp.
_METHOD = {"fit": "pad", "resize": "bilinear", "colour": "RGB"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """The complete image centred in a square, then `(pixel / 255 - mean) / std`.

    The longer side fills the square, the aspect ratio is kept and nothing is cut off ("pad");
    sizes change by Pillow's bilinear filter, antialiased when it shrinks; channels are RGB.

    Args:
        input_size: side of the square in pixels.
        mean: subtracted from red, green and blue, which are in 0..1.
        std: divides red, green and blue after the subtraction.
        background: colour, 0..255, around the image and under transparent pixels.

    Raises:
        UserError: a value is outside its range.
    """

    input_size: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    background: tuple[int, int, int] = (255, 255, 255)

    def __post_init__(self) -> None:
        if not 1 <= self.input_size <= 4096:
            raise UserError(
                f"An input size of {self.input_size} pixels cannot be used.",
                "Choose an input size from 1 to 4096 pixels.",
            )
        if not (len(self.mean) == len(self.std) == len(self.background) == 3):
            raise UserError(
                "The mean, std and background of the preprocessing are not three numbers each.",
                "Write one number each for red, green and blue.",
            )
        if min(self.std) <= 0 or not all(0 <= value <= 255 for value in self.background):
            raise UserError(
                f"std {self.std} or background {self.background} is outside its range.",
                "Choose every std above 0 and every background value from 0 to 255.",
            )

    def fit(self, image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The complete image in a square of `input_size`, rotated as its EXIF data says.

        Args:
            image: any mode Pillow knows; transparent pixels show the background.

        Returns:
            (S, S, 3) uint8, RGB.
        """
        side = self.input_size
        upright = self.flat(image)
        if upright.size == (side, side):
            return np.array(upright)
        scale = side / max(upright.size)
        width, height = (max(1, round(length * scale)) for length in upright.size)
        resized = upright.resize((width, height), Image.Resampling.BILINEAR)
        square = Image.new("RGB", (side, side), self.background)
        square.paste(resized, ((side - width) // 2, (side - height) // 2))
        return np.array(square)

    def flat(self, image: Image.Image) -> Image.Image:
        """The upright image as RGB at its original size, transparent pixels over the background."""
        image = ImageOps.exif_transpose(image)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            # Pillow would clip 16-bit gray to 255; the high byte holds the visible image
            values = np.asarray(image, np.float32)
            if image.mode != "F" and values.max(initial=0) > 255:
                values = values / 257
            image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
        if not image.has_transparency_data:
            return image.convert("RGB")
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*self.background, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")

    def normalise(self, images: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
        """The network's input for prepared images.

        Args:
            images: (N, S, S, 3) uint8.

        Returns:
            (N, 3, S, S) float32 in channels_last memory.
        """
        pixels = torch.from_numpy(np.require(images, np.uint8, ["C", "W"]))
        planes = pixels.permute(0, 3, 1, 2).to(torch.float32)  # (N, 3, S, S), still NHWC in memory
        return self.normalise_planes(planes)

    def normalise_planes(self, planes: torch.Tensor) -> torch.Tensor:
        """`normalise` for augmented images (N, 3, S, S), float32 in 0..255, which it overwrites."""
        mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.std).view(1, 3, 1, 1)
        planes = planes.contiguous(memory_format=torch.channels_last)
        return planes.div_(255).sub_(mean).div_(std)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that is stored in bundles and exported files."""
        return {
            "input_size": self.input_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "background": list(self.background),
            **_METHOD,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Preprocessing:
        """Reads what `to_dict` wrote.

        Raises:
            UserError: a field is missing, or has a value that this version does not support.
        """
        for key, value in _METHOD.items():
            if document.get(key) != value:
                raise UserError(
                    f"The preprocessing's {key!r} is {document.get(key)!r}, but this edgecmp only "
                    f"supports {value!r}.",
                    "Use the version of edgecmp that wrote the file.",
                )
        try:
            return cls(
                input_size=int(document["input_size"]),
                mean=tuple(float(value) for value in document["mean"]),  # type: ignore[arg-type]
                std=tuple(float(value) for value in document["std"]),  # type: ignore[arg-type]
                background=tuple(int(value) for value in document["background"]),  # type: ignore[arg-type]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"The preprocessing cannot be read ({error}).",
                "Create the file again with the command that wrote it.",
            ) from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the document; equal if and only if images are prepared alike."""
        return sha256_json(self.to_dict())
