"""The formats of photos: the endings of their files, and the bytes that they begin with."""

from __future__ import annotations

__all__ = ["IMAGE_SUFFIXES", "format_of"]

IMAGE_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2c", ".j2k", ".jfif"),
        *(".jp2", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pgm", ".png"),
        *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""Endings, in small letters, of the files in a folder that are read as photos. The format of a file
follows from its content, so a file that a manifest lists may have any name."""

_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (4, b"jP  \r\n\x87\n", "JPEG2000"),
    (8, b"WEBPVP8", "WEBP"),
)
"""Where each of Pillow's formats has which bytes."""

_HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))


def format_of(content: bytes) -> str | None:
    """Pillow's name of the format that a file has by its first bytes, such as "JPEG".

    "HEIF" is the one of pi-heif. None stands for any other format, or for no image.
    """
    for place, signature, name in _SIGNATURES:
        if content.startswith(signature, place):
            return name
    if content[4:8] != b"ftyp":
        return None
    size = int.from_bytes(content[:4])
    brands = {content[at : at + 4] for at in (8, *range(16, min(size, 256), 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIC_BRANDS else None
