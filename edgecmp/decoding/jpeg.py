"""JPEG files without their end marker, which cameras and crawlers leave behind.

libjpeg fills missing pixels with grey instead of saying that they are missing, so a file without
an end is decoded with several different endings: pixels that are all in the file do not depend on
what follows them.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator

from PIL import Image, JpegImagePlugin

from edgecmp.decoding.errors import ImageError

__all__ = ["decode_without_end", "has_end", "is_padded"]

_END = b"\xff\xd9"
_NOISE = (
    bytes(37 * place % 251 for place in range(512)),
    bytes(254 - 37 * place % 251 for place in range(512)),
)
"""Arbitrary bits instead of what may be missing; without 0xFF, which begins a marker."""

_PADDING = bytes(16)
"""So many zeros at the end are the unwritten rest of a download, not pixels."""

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
"""A marker between two parts of the pixel data, which count from 0xD0 to 0xD7 again and again."""

_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
_SCAN = 0xDA
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""The next marker after the pixel data of a scan: neither a stuffed 0xFF nor a restart."""

_COEFFICIENTS = 64


def is_padded(content: bytes) -> bool:
    """Whether zeros stand in the place of the end marker, and possibly of pixels.

    Decoders take them for pixels.
    """
    return content.endswith(_PADDING) and not has_end(content)


def has_end(content: bytes) -> bool:
    """Whether the file ends with the end marker, apart from zeros."""
    return content.rstrip(b"\x00").endswith(_END)


def decode_without_end(content: bytes) -> Image.Image:
    """The image of a JPEG file that ends before its end marker.

    Raises:
        ImageError: pixels are missing.
    """
    body = _without_padding(content)
    if not _has_all_scans(body):
        raise ImageError("it is cut off")
    found: set[bytes] = set()
    for ending in _endings(body):
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(body + ending + _END))
        try:
            image.load()
        except OSError as error:
            raise ImageError("it is cut off") from error
        found.add(hashlib.sha256(image.tobytes()).digest())
        if len(found) > 1:
            raise ImageError("it is cut off")
    return image


def _endings(body: bytes) -> Iterator[bytes]:
    """What is decoded in the place of the end: nothing, and noise of two kinds.

    Noise also follows each of the next restart markers, to which a decoder skips after a complete
    part.
    """
    yield b""
    markers = _RESTART.findall(body)
    next_marker = markers[-1][1] + 1 if markers else 0
    for noise in _NOISE:
        parts = (b"\xff%c" % (0xD0 + (next_marker + n) % 8) + noise for n in range(8))
        yield noise + b"".join(parts)


def _without_padding(content: bytes) -> bytes:
    """The file without the zeros of an unfinished download and without half an end marker."""
    if not content.endswith(_PADDING):
        return content.removesuffix(b"\xff")
    body = content.rstrip(b"\x00")
    return body + b"\x00" if body.endswith(b"\xff") else body


def _has_all_scans(content: bytes) -> bool:
    """Whether every coefficient of every component has a scan with its last bit.

    A progressive file that is cut off between two scans has pixels everywhere, but coarse ones.
    """
    last_bit: dict[int, list[int | None]] = {}
    for marker, body in _segments(content):
        if marker in _FRAMES and len(body) > 5:
            last_bit = {body[at]: [None] * _COEFFICIENTS for at in range(6, len(body) - 2, 3)}
        elif marker == _SCAN and len(body) > 5:
            first, last, precision = body[-3:]
            for component in body[1 : 1 + 2 * body[0] : 2]:
                for place in range(first, min(last, _COEFFICIENTS - 1) + 1):
                    last_bit.setdefault(component, [None] * _COEFFICIENTS)[place] = precision & 15
    return bool(last_bit) and all(bit == 0 for bits in last_bit.values() for bit in bits)


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment, pixel data left out."""
    at = 2
    while found := _MARKER.search(content, at):
        length = int.from_bytes(content[found.end() : found.end() + 2])
        yield found[1][0], content[found.end() + 2 : found.end() + length]
        at = found.end() + max(2, length)
