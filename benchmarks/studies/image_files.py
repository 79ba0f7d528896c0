"""The speed of opening a folder of image files, and of reading it again, in images per second.

Opening decodes every file once, and reading decodes and prepares it. The photos are synthetic:
noise of several scales, so that their files are about as large as real ones.
"""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edgecmp.data.image_files import FileImages, ImageRecord, check_files
from edgecmp.preprocessing import Preprocessing

__all__ = ["FILES", "measure_files"]

FILES: dict[str, tuple[tuple[int, int], int, dict[str, Any]]] = {
    "12-megapixel photos, on their side, sRGB profile": (
        (4000, 3000),
        16,
        {"format": "JPEG", "quality": 90, "profile": True, "orientation": 6},
    ),
    "500-pixel JPEG": ((500, 500), 400, {"format": "JPEG", "quality": 85}),
    "112-pixel JPEG": ((112, 112), 2000, {"format": "JPEG", "quality": 95}),
    "500-pixel PNG": ((500, 500), 160, {"format": "PNG"}),
    "500-pixel WebP": ((500, 500), 160, {"format": "WEBP", "quality": 85}),
}
"""Width and height, number of files, and how each is written."""


def _photo(size: tuple[int, int], seed: int) -> Image.Image:
    """Noise at scales of 1, 8 and 64 pixels, the coarse ones stronger."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", size, (128, 128, 128))
    for scale, weight in ((64, 0.8), (8, 0.3), (1, 0.04)):
        width, height = (max(1, length // scale) for length in size)
        noise = generator.integers(0, 256, (height, width, 3), np.uint8)
        layer = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
        image = Image.blend(image, layer, weight)
    return image


def _write(folder: Path, size: tuple[int, int], count: int, options: dict[str, Any]) -> None:
    """`count` files; one of four pictures each."""
    options = dict(options)
    if options.pop("profile", False):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        options["icc_profile"] = profile.tobytes()
    if orientation := options.pop("orientation", None):
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    contents = []
    for seed in range(min(4, count)):
        stream = io.BytesIO()
        _photo(size, seed).save(stream, **options)
        contents.append(stream.getvalue())
    for number in range(count):
        (folder / f"{number}").write_bytes(contents[number % len(contents)])


def measure_files(rounds: int, share: float = 1.0, side: int = 112) -> list[dict[str, Any]]:
    """Rows of "files", "count", "opened_per_s", "open_ms", "read_per_s" and "read_ms".

    They are medians over the rounds; "ms" is processor time per file, of all threads.

    Args:
        rounds: after one that warms up.
        share: of the files of each kind.
        side: of the prepared images, in pixels.
    """
    prepare = Preprocessing(input_size=side)
    rows = []
    for name, (size, most, options) in FILES.items():
        count = max(1, round(most * share))
        timings = []
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), size, count, options)
            records = [
                ImageRecord(path=Path(folder) / f"{number}", key=f"{number}", identity="one")
                for number in range(count)
            ]
            for _ in range(rounds + 1):
                started = _clocks()
                digests, _broken = check_files(records)
                opened = _clocks()
                FileImages(records, digests, cache_bytes=0).pixels(np.arange(count), prepare)
                timings.append((opened - started, _clocks() - opened))
        (opened_s, opened_cpu), (read_s, read_cpu) = np.median(timings[1:], axis=0) / count
        rows.append(
            {
                "files": name,
                "count": count,
                "opened_per_s": 1 / opened_s,
                "open_ms": opened_cpu * 1000,
                "read_per_s": 1 / read_s,
                "read_ms": read_cpu * 1000,
            }
        )
    return rows


def _clocks() -> NDArray[np.float64]:
    """Wall time and processor time in seconds."""
    return np.array([time.monotonic(), time.process_time()])
