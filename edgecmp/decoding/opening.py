"""Opens the bytes of an image file with the right codec and decodes all its pixels."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

from PIL import AvifImagePlugin, ExifTags, Image, ImageFile, JpegImagePlugin, TiffImagePlugin

from edgecmp.decoding.errors import ImageError
from edgecmp.decoding.formats import format_of
from edgecmp.decoding.jpeg import decode_without_end, has_end, is_padded
from edgecmp.decoding.limits import check_size

__all__ = ["load"]

_EXIF_ITEM = re.compile(rb"(infe\x02.{7})Exif", re.DOTALL)
"""The entry of the EXIF data in the list of an AVIF or HEIC file's parts (ISO/IEC 23008-12)."""

_PROGRAMS = frozenset(("EPS", "WMF"))
"""Drawings that Pillow hands to another program."""

# Pillow's words about damaged metadata, which are ignored, and about sizes, which are checked here;
# they name no file
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def load(content: bytes, max_megapixels: float) -> Image.Image:
    """The first frame of an image file, decoded: pixels, mode and metadata as Pillow has them.

    Raises:
        Exception: whatever the codec raises; an ImageError for what it does not notice itself.
    """
    kind = format_of(content)
    if kind == "JPEG":
        return _load_jpeg(content, max_megapixels)
    if kind in ("AVIF", "HEIF"):
        return _load_heif(content, kind, max_megapixels)
    # formats without a signature are tried one after another, which takes longer
    image = Image.open(io.BytesIO(content), formats=None if kind is None else (kind,))
    if image.format in _PROGRAMS:
        raise ImageError(f"{image.format} is a format of drawings, not of photos")
    return _pixels(image, max_megapixels)


def _pixels(image: ImageFile.ImageFile, max_megapixels: float) -> Image.Image:
    """The image after all its pixels were decoded."""
    check_size(image.size, max_megapixels)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_strips(image)
        _keep_only_orientation(image)
    elif _is_deep_png(image):
        # Pillow decodes the high bytes of 16-bit colours, but leaves the transparent one as it is
        image.info["transparency"] = tuple(value >> 8 for value in image.info["transparency"])
    image.load()
    return image


def _is_deep_png(image: ImageFile.ImageFile) -> bool:
    """Whether a PNG image has 16-bit colours and a transparent one."""
    if image.format != "PNG" or not isinstance(image.info.get("transparency"), tuple):
        return False
    return bool(image.tile) and str(image.tile[0].args).endswith(";16B")


def _check_strips(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuses a TIFF image some of whose strips are missing, which Pillow would leave black."""
    rows = max((tile.extents[3] for tile in image.tile if tile.extents is not None), default=0)
    if rows < image.tag_v2[TiffImagePlugin.IMAGELENGTH]:
        raise ImageError("it is cut off")


def _keep_only_orientation(image: TiffImagePlugin.TiffImageFile) -> None:
    """Keeps Pillow from reading a TIFF image's other metadata, which may be damaged.

    Pillow turns TIFF images upright while it decodes them, and reads all tags for that.
    """
    exif = Image.Exif()
    orientation = image.tag_v2.get(ExifTags.Base.Orientation)
    if isinstance(orientation, int):
        exif[ExifTags.Base.Orientation] = orientation
    for name in ("exif", "xmp"):
        image.info.pop(name, None)
    setattr(image, "getexif", lambda: exif)  # noqa: B010 (mypy refuses to assign to a method)


def _load_jpeg(content: bytes, max_megapixels: float) -> Image.Image:
    """The image of a JPEG file; of several (MPO), the first."""
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    check_size(image.size, max_megapixels)
    if is_padded(content):
        return decode_without_end(content)
    try:
        image.load()
    except OSError:
        if has_end(content):
            raise
        return decode_without_end(content)
    return image


def _load_heif(content: bytes, kind: str, max_megapixels: float) -> Image.Image:
    """The image of an AVIF or HEIC file, which Pillow or pi-heif decodes."""
    open_file = _heic_opener() if kind == "HEIF" else AvifImagePlugin.AvifImageFile
    try:
        return _pixels(open_file(io.BytesIO(content)), max_megapixels)
    except ImageError:
        raise
    except Exception:
        # both refuse an image for its EXIF data; without them it is upright
        bare = _EXIF_ITEM.sub(rb"\1free", content)
        if bare == content:
            raise
        return _pixels(open_file(io.BytesIO(bare)), max_megapixels)


def _heic_opener() -> Any:
    """The class of pi-heif that opens HEIC files.

    Raises:
        ImageError: pi-heif is not installed.
    """
    try:
        from pi_heif import HeifImageFile
    except ImportError as error:
        raise ImageError(
            "HEIC files need the package pi-heif", "Install it: pip install 'edgecmp[heic]'."
        ) from error
    return HeifImageFile
