"""ImageError, the one exception for image files whose pixels cannot be had, and its reasons."""

from __future__ import annotations

import struct

from PIL import UnidentifiedImageError

from edgecmp.decoding.formats import format_of
from edgecmp.errors import UserError

__all__ = ["ImageError", "reason_of"]

_LONGEST = 100
"""Characters of a codec's own words; some quote the bytes of the file."""


class ImageError(UserError):
    """An image that cannot be used. The caller names the file.

    Args:
        reason: a few words that complete "FILE cannot be read: ".
        way_out: one sentence that says what to do about it.
    """

    def __init__(
        self, reason: str, way_out: str = "Name a whole image file, or convert it to PNG or JPEG."
    ) -> None:
        super().__init__(f"The image cannot be read: {reason}.", way_out)
        self.reason = reason


def reason_of(error: Exception, content: bytes) -> str:
    """Why a codec refused a file, in a few words.

    Args:
        error: what it raised.
        content: the file.
    """
    if not content:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        found = format_of(content)
        return f"a damaged or unusual {found} file" if found else "not an image"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    words = str(error).split("\n")[0].strip().rstrip(".")
    if "truncated" in words or "Truncated" in words or isinstance(error, EOFError):
        return "it is cut off"
    if not isinstance(error, OSError | ValueError | SyntaxError | struct.error):
        words = f"{type(error).__name__} {words}".strip()  # such as KeyError 277
    words = words[:_LONGEST]
    return f"it is damaged ({words})" if words else "it is damaged"
