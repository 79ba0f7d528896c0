"""`decode` makes upright 8-bit sRGB pixels from the bytes of an image file, in one place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from PIL import ExifTags, Image

from edgecmp.decoding.colour import to_srgb
from edgecmp.decoding.errors import ImageError, reason_of
from edgecmp.decoding.limits import MAX_MEGAPIXELS, pillow_limits, too_large
from edgecmp.decoding.opening import load

__all__ = ["decode", "flat", "upright_size"]

Colour = tuple[int, int, int]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each value of the EXIF tag Orientation."""

_ON_THEIR_SIDE = (5, 6, 7, 8)
"""The values that exchange width and height."""

Used = TypeVar("Used")


def decode(content: bytes, *, max_megapixels: float = MAX_MEGAPIXELS) -> Image.Image:
    """The image of a file: upright, sRGB, 8 bits, and without the file's metadata.

    All pixels are decoded. Of several frames or pages, it is the first. Metadata that is damaged is
    ignored: an image whose orientation cannot be read is upright.

    Args:
        content: the bytes of the file; they show the format.
        max_megapixels: larger images are refused before they are decoded.

    Returns:
        Mode RGB, or RGBA if some pixels may be transparent.

    Raises:
        ImageError: there is no complete image in the file, it is larger than the limit, or the
            package for its format is missing. No other exception is raised.
    """
    image = _use(content, max_megapixels, _upright)
    image.info = {}  # so that `flat` neither turns it nor changes its colours again
    return image


def upright_size(content: bytes, *, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[int, int]:
    """Width and height of the image that `decode` returns, after all its pixels were decoded.

    It tells in less time that an image can be read: RGB pixels are neither turned nor converted.

    Args:
        content: the bytes of the file.
        max_megapixels: as in `decode`.

    Raises:
        ImageError: as in `decode`.
    """
    return _use(content, max_megapixels, _size)


def _use(content: bytes, max_megapixels: float, use: Callable[[Image.Image], Used]) -> Used:
    """What `use` makes of the decoded image of a file; every exception becomes an ImageError."""
    try:
        with pillow_limits(max_megapixels):
            return use(load(content, max_megapixels))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's words begin "Image size (N pixels)"
        pixels = int(re.findall(r"\d+", str(error))[0])
        raise too_large(f"{pixels}", pixels, max_megapixels) from error
    except Exception as error:  # codecs raise almost anything for damaged files
        raise ImageError(reason_of(error, content)) from error


def flat(image: Image.Image, background: Colour = (255, 255, 255)) -> Image.Image:
    """The image as RGB at its original size, transparent pixels over the background.

    Args:
        image: the result of `decode`, or any other Pillow image, which is first made upright and
            sRGB as `decode` does; it is not changed.
        background: red, green and blue, 0..255.

    Raises:
        ImageError: another Pillow image has floating-point pixels.
    """
    image = _upright(image)
    if image.mode == "RGB":
        return image
    ground = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(ground, image).convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """The image in sRGB, turned as its EXIF data say; itself if nothing has to be done."""
    image.load()  # TIFF images are turned by Pillow here, and have no orientation afterwards
    turn = _UPRIGHT.get(_orientation(image))
    image = to_srgb(image)
    return image if turn is None else image.transpose(turn)


def _size(image: Image.Image) -> tuple[int, int]:
    """Of the upright image; other modes than RGB are converted, in case that is not possible."""
    if image.mode != "RGB" or image.has_transparency_data:
        return _upright(image).size
    return image.size[::-1] if _orientation(image) in _ON_THEIR_SIDE else image.size


def _orientation(image: Image.Image) -> int:
    """The EXIF tag Orientation, 1..8; 1 if it is missing or cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises almost anything for damaged EXIF data
        return 1
    return orientation if isinstance(orientation, int) else 1
