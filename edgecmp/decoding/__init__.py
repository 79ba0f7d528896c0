"""From the bytes of an image file to upright 8-bit sRGB pixels: the one decoder of all readers.

Folders, manifests, faces, IJB-C, shards and `edgecmp find` all call `decode`, so that the same file
has the same pixels in each of them.
"""

from edgecmp.decoding.decode import decode, flat, upright_size
from edgecmp.decoding.errors import ImageError
from edgecmp.decoding.formats import IMAGE_SUFFIXES
from edgecmp.decoding.limits import MAX_MEGAPIXELS, pillow_limits

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_MEGAPIXELS",
    "ImageError",
    "decode",
    "flat",
    "pillow_limits",
    "upright_size",
]
