"""How large an image may be, in place of Pillow's limits, which refuse photos of 200 megapixels."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, PngImagePlugin

from edgecmp.decoding.errors import ImageError

__all__ = ["MAX_MEGAPIXELS", "check_size", "pillow_limits", "too_large"]

MAX_MEGAPIXELS = 300.0
"""Larger images are refused before they are decoded, unless the data's description sets
`max_megapixels`. Phones take photos of 200 megapixels, which need 0.8 GB each; a file of some bytes
can claim to have millions."""

_TEXT_CHUNK = 64 * 2**20
_TEXT = 256 * 2**20
"""Bytes of text in a PNG file, one chunk and all of them: editors store their history there."""

_lock = threading.Lock()
_users = 0
_before: tuple[int | None, int, int] = (None, 0, 0)


@contextmanager
def pillow_limits(max_megapixels: float) -> Iterator[None]:
    """Replaces Pillow's own limits by ours inside the context.

    Pillow's are settings of the whole process. They return to their values when the last thread
    leaves the context, so that a program that uses edgecmp keeps its own.

    Args:
        max_megapixels: the size of the largest image that is decoded or cropped inside.
    """
    global _users, _before
    with _lock:
        if _users == 0:
            _before = (
                Image.MAX_IMAGE_PIXELS,
                PngImagePlugin.MAX_TEXT_CHUNK,
                PngImagePlugin.MAX_TEXT_MEMORY,
            )
            PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = _TEXT_CHUNK, _TEXT
        _users += 1
        if Image.MAX_IMAGE_PIXELS is not None:
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, int(max_megapixels * 1e6))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                (
                    Image.MAX_IMAGE_PIXELS,
                    PngImagePlugin.MAX_TEXT_CHUNK,
                    PngImagePlugin.MAX_TEXT_MEMORY,
                ) = _before


def check_size(size: tuple[int, int], max_megapixels: float) -> None:
    """Refuses an image by the size in its header.

    Raises:
        ImageError: it is larger than the limit.
    """
    width, height = size
    if width * height > max_megapixels * 1e6:
        raise too_large(f"{width} x {height}", width * height, max_megapixels)


def too_large(size: str, pixels: int, max_megapixels: float) -> ImageError:
    """The error for an image of a size, such as "24000 x 18000", above the limit."""
    return ImageError(
        f"its {size} pixels are {pixels / 1e6:,.0f} megapixels, more than max_megapixels = "
        f"{max_megapixels:g}",
        "Shrink it, or raise max_megapixels in a .toml description of the data (see "
        "docs/reference/data-formats.md).",
    )
