"""Mutated image files of every format are decoded, or refused by the one error.

A slice runs in the quick suite; `make fuzz` runs more (EDGECMP_FUZZ).
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from edgecmp.decoding import ImageError, decode, flat, upright_size
from tests.fixtures.libvips import profile
from tests.fixtures.mutations import mutated, peak_gib, within_memory
from tests.fixtures.odd_image import encoded, picture, turned
from tests.fixtures.odd_photos import HEIC

MUTANTS = int(os.environ.get("EDGECMP_FUZZ", "0"))
SLICE = 60
HEADER = 600
"""Half of the mutations are within the first bytes, where sizes, tables and tags are."""

SECONDS = 10
MEGAPIXELS = 50
"""Headers that claim more are refused, so that a mutant never needs gigabytes."""


def files() -> dict[str, bytes]:
    """One whole file per kind, with an orientation and a profile where the format has them."""
    photo = Image.fromarray(picture())
    tags = {"exif": turned(6), "icc_profile": profile("p3")}
    deep = Image.fromarray((np.arange(48 * 32) * 40).astype(np.uint16).reshape(32, 48))
    return {
        "jpeg": encoded(photo, "JPEG", **tags),
        "progressive": encoded(photo, "JPEG", progressive=True, **tags),
        "png": encoded(photo, "PNG", **tags),
        "palette": encoded(photo.quantize(31), "PNG", transparency=3),
        "deep": encoded(deep, "PNG"),
        "webp": encoded(photo, "WEBP", **tags),
        "avif": encoded(photo, "AVIF", **tags),
        "heic": (HEIC / "turned.heic").read_bytes(),
        "tiff": encoded(photo, "TIFF", **tags),
        "lzw": encoded(photo, "TIFF", compression="tiff_lzw"),
        "fax": encoded(photo.convert("1"), "TIFF", compression="group4"),
        "gif": encoded(photo, "GIF"),
        "bmp": encoded(photo, "BMP"),
        "jpeg2000": encoded(photo, "JPEG2000"),
        "ppm": encoded(photo, "PPM"),
        "tga": encoded(photo, "TGA"),
        "ico": encoded(photo, "ICO"),
        "dds": encoded(photo, "DDS"),
        "pcx": encoded(photo, "PCX"),
        "qoi": encoded(photo, "QOI"),
        "blp": encoded(photo.quantize(31), "BLP"),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", files())
def test_a_mutated_image_is_decoded_or_refused(kind: str) -> None:
    whole = files()[kind]
    generator = random.Random(f"edgecmp image {kind}")
    count = MUTANTS // len(files()) + 1 if MUTANTS else SLICE
    outcomes: Counter[str] = Counter()
    slowest, before = 0.0, peak_gib()
    for _ in range(count):
        head = HEADER if generator.random() < 0.5 else len(whole)
        content = mutated(whole[:head], generator, document=False) + whole[head:]
        started = time.monotonic()
        try:
            image = decode(content, max_megapixels=MEGAPIXELS)
        except ImageError as error:
            outcomes["refused"] += len(error.reason.splitlines()) == 1
            with pytest.raises(ImageError, match=re.escape(error.reason)):
                upright_size(content, max_megapixels=MEGAPIXELS)
        else:
            assert image.mode in ("RGB", "RGBA")
            assert flat(image).mode == "RGB"
            assert upright_size(content, max_megapixels=MEGAPIXELS) == image.size
            outcomes["decoded"] += 1
        slowest = max(slowest, time.monotonic() - started)
    peak = peak_gib()
    print(f"{kind}: {dict(outcomes)}, slowest {slowest:.2f} s, peak {peak:.2f} GiB")
    assert outcomes.total() == count
    assert outcomes["refused"]
    assert slowest < SECONDS
    assert within_memory(before)


@pytest.mark.filterwarnings("ignore")
def test_noise_raises_nothing_else() -> None:
    generator = random.Random("edgecmp noise")
    starts = [content[:40] for content in files().values()]
    for number in range(200):
        noise = generator.choice(starts)[: generator.randrange(41)] + generator.randbytes(300)
        with contextlib.suppress(ImageError):
            decode(noise[: number * 2], max_megapixels=MEGAPIXELS)
