"""Pixels of any kind as 8-bit sRGB: 16-bit values, palettes, inks and colour profiles.

Embedded ICC profiles are converted to sRGB, since networks are trained on sRGB and phones store
Display P3, whose reds would look paler by up to 112 of 255 levels. The intent is relative
colorimetric with black point compensation: colours inside sRGB keep their look, white stays white
and black stays black, whereas the perceptual intent changes all colours in a way that each profile
defines for itself. Profiles that are damaged, or belong to another kind of pixels, are ignored.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from edgecmp.decoding.errors import ImageError

__all__ = ["to_srgb"]

_SAME = 2
"""Levels of 255 by which the profile of an sRGB image differs from Pillow's sRGB at most (measured:
1); such profiles, which most photos have, are skipped."""

_COLOURS = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK", "LAB": "LAB"}
"""The mode in which a profile describes the colours of another mode; RGB for all others."""

_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262
_BITS_PER_SAMPLE = 258


def to_srgb(image: Image.Image) -> Image.Image:
    """The pixels of an image as sRGB, in mode RGB, or RGBA if some may be transparent.

    Args:
        image: decoded, of any mode; it is returned as it is if nothing has to be done.

    Raises:
        ImageError: the values are floating-point or 32-bit numbers, whose white is unknown.
    """
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    target = "RGBA" if image.has_transparency_data else "RGB"
    colours = _COLOURS.get(image.mode, "RGB")
    profile = b"" if colours == "LAB" else image.info.get("icc_profile")
    transform = _transform(profile, colours) if isinstance(profile, bytes) else None
    if transform is None:
        return image if image.mode == target else image.convert(target)
    if target == "RGB":
        return transform.apply(image if image.mode == colours else image.convert(colours))
    rgba = image.convert("RGBA")
    opaque = transform.apply(rgba.getchannel("R") if colours == "L" else rgba.convert("RGB"))
    opaque.putalpha(rgba.getchannel("A"))
    return opaque


def _eight_bits(image: Image.Image) -> Image.Image:
    """The high byte of 16-bit grey, in mode L, or LA if one shade is transparent.

    White is 65535, whatever values the image has, so that each part of it becomes what it is in the
    complete image. Pillow reduces 16-bit colours in the same way.
    """
    kind = getattr(image, "format", None)
    if image.mode == "F":
        raise ImageError("its pixels are floating-point numbers, whose white is unknown")
    if image.mode == "I" and kind not in (None, "PPM"):  # signed, or with 32 bits
        raise ImageError("its pixels are signed or 32-bit numbers, whose white is unknown")
    values = np.asarray(image).clip(0, 65535).astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = 2**bits - 1 - values
    grey = Image.fromarray((values >> (bits - 8)).astype(np.uint8))
    grey.info = dict(image.info)
    transparent = grey.info.pop("transparency", None)
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


@functools.lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What converts pixels of a mode from a profile to sRGB; None if nothing does or has to.

    L*a*b* colours need no profile. Little CMS would interpolate them in a table, which misses the
    borders of sRGB by up to 37 levels.
    """
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    try:
        if mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
            flags |= ImageCms.Flags.NOOPTIMIZE
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=flags,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode in ("CMYK", "LAB"):
        return transform
    sample = _sample(mode)
    changed = np.asarray(transform.apply(sample), np.int16)
    unchanged = np.asarray(sample.convert("RGB"), np.int16)
    return None if np.abs(changed - unchanged).max() <= _SAME else transform


def _sample(mode: str) -> Image.Image:
    """Colours from all over the space of a mode."""
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    if mode == "L":
        return Image.fromarray(levels[None])
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return Image.fromarray(cube.reshape(17, -1, 3))
