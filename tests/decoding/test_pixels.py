"""Pixels of more than a hundred odd image files, compared with an independent decoder."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from edgecmp.decoding import decode, upright_size
from tests.fixtures.odd_image import Array, OddImage
from tests.fixtures.odd_lossless import odd_lossless
from tests.fixtures.odd_photos import odd_photos

LARGEST = {
    "avif": 8,  # 1 before a colour profile, which is steep in dark colours; 3 from ten bits
    "bmp": 0,
    "gif": 0,
    "heic": 1,  # 0 without a colour profile
    "jpeg": 1,  # 0 without a colour profile
    "jpeg2000": 0,
    "png": 1,  # 0 without a colour profile
    "pnm": 0,
    "tiff": 1,  # 0 without a colour profile or L*a*b*
    "webp": 1,  # 0 without a colour profile
}
"""Levels of 255 between Pillow 13.0 and libvips 8.18 in any image of a format, as measured; another
build of a codec may differ by two levels more."""


@pytest.fixture(scope="module")
def images() -> list[OddImage]:
    return [*odd_photos(), *odd_lossless()]


def difference(image: OddImage) -> int:
    """The largest difference in any channel; the colour of invisible pixels does not count."""
    pixels = np.asarray(decode(image.content))
    assert pixels.shape == image.expected.shape, image.name

    def visible(found: Array) -> Array:
        return found if found.shape[2] == 3 else found * (found[..., 3:] > 0)

    return int(np.abs(visible(pixels).astype(int) - visible(image.expected)).max())


def test_pixels_are_those_of_an_independent_decoder(images: list[OddImage]) -> None:
    assert len({image.name for image in images}) == len(images) >= 100
    largest: dict[str, int] = defaultdict(int)
    for image in images:
        found = difference(image)
        assert found <= image.bound, f"{image.name} differs by {found}"
        largest[image.format] = max(largest[image.format], found)
    print("largest difference per format:", dict(sorted(largest.items())))
    assert largest.keys() == LARGEST.keys()
    for kind, found in largest.items():
        assert found <= LARGEST[kind] + 2, kind


def test_the_size_is_known_without_the_pixels(images: list[OddImage]) -> None:
    for image in images:
        height, width = image.expected.shape[:2]
        assert upright_size(image.content) == (width, height), image.name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_differ_from_each_other(images: list[OddImage], orientation: int) -> None:
    """The reference itself is right: each is a different turn of the first."""
    turned = {
        image.name: image.expected for image in images if image.name.startswith("jpeg, turned")
    }
    first, this = turned["jpeg, turned 1"], turned[f"jpeg, turned {orientation}"]
    undone = {
        1: this,
        2: this[:, ::-1],
        3: this[::-1, ::-1],
        4: this[::-1],
        5: this.transpose(1, 0, 2),
        6: np.rot90(this),
        7: this[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(this, -1),
    }[orientation]
    assert np.abs(undone.astype(int) - first).max() <= 2
