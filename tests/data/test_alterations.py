"""Alterations: what each does to an image, against formulas that are not those of the module."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from edgecmp.data.alterations import ALTERATIONS, LONGEST_SIDE, alteration_of, altered
from edgecmp.data.keyed_numbers import KeyedNumbers
from edgecmp.data.screen_photo import perspective

KEYS = [f"photos/{number}.jpg" for number in range(6)]


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def waves(side: int) -> Image.Image:
    """A smooth image, on which resampling by two methods can be compared."""
    y, x = np.mgrid[0:side, 0:side] / side
    planes = [np.sin(7 * x + 3 * y), np.cos(5 * y - 4 * x), np.sin(9 * x * y)]
    return Image.fromarray((127.5 + 120 * np.stack(planes, -1)).astype(np.uint8))


def key_of(name: str, number: int = 0) -> str:
    """A key whose image is altered in that way."""
    return next(
        key for key in map("{}.png".format, range(number, 10_000)) if alteration_of(key) == name
    )


@settings(max_examples=40)
@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    mode=st.sampled_from(["RGB", "RGBA", "L"]),
    name=st.sampled_from([*ALTERATIONS]),
    number=st.integers(0, 1000),
)
def test_any_image_has_one_altered_copy_per_key(
    width: int, height: int, mode: str, name: str, number: int
) -> None:
    image, key = noise(width, height, mode), key_of(name, number)
    before = image.copy()
    copy = altered(image, key)
    assert copy.mode == "RGB"
    assert min(copy.size) >= 1
    assert max(copy.size) <= max(LONGEST_SIDE, *image.size)
    assert altered(image, key) == copy
    assert image == before
    if min(image.size) >= 4:
        assert copy != image.convert("RGB")


def test_all_five_occur_about_equally_often() -> None:
    found = [alteration_of(f"{number}.png") for number in range(1000)]
    assert {found.count(name) for name in ALTERATIONS} <= {*range(150, 250)}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_large_images_are_altered_at_a_bounded_size(name: str) -> None:
    copy = altered(noise(2000, 30), key_of(name))
    assert max(copy.size) <= LONGEST_SIDE


@pytest.mark.parametrize("key", KEYS)
def test_a_crop_is_a_part_of_the_image(key: str) -> None:
    image = noise(40, 30)
    part = np.asarray(ALTERATIONS["crop"](image, KeyedNumbers(key)))
    height, width = part.shape[:2]
    assert 22 <= width <= 32
    assert 16 <= height <= 24
    pixels = np.asarray(image)
    places = [
        (top, left)
        for top in range(30 - height + 1)
        for left in range(40 - width + 1)
        if np.array_equal(pixels[top : top + height, left : left + width], part)
    ]
    assert len(places) == 1


@pytest.mark.parametrize("key", KEYS)
def test_a_blur_is_gaussian(key: str) -> None:
    image = noise(120, 90)
    blurred = np.asarray(ALTERATIONS["blur"](image, KeyedNumbers(key)), np.float64)
    pixels = np.asarray(image, np.float64)
    inner = (slice(12, -12), slice(12, -12))
    errors = {
        share: np.abs(
            gaussian_filter(pixels, (1.2 * share, 1.2 * share, 0))[inner] - blurred[inner]
        ).mean()
        for share in np.arange(0.4, 3.01, 0.1)  # the standard deviation in % of 120 pixels
    }
    best = min(errors, key=lambda share: errors[share])
    assert 0.7 <= best <= 2.1
    assert errors[best] < 2.5


@pytest.mark.parametrize("key", KEYS)
def test_light_keeps_the_content(key: str) -> None:
    image = waves(64)
    lit = np.asarray(ALTERATIONS["light"](image, KeyedNumbers(key)), np.float64)
    pixels = np.asarray(image, np.float64)
    assert lit.shape == pixels.shape
    for channel in range(3):
        unclipped = lit[..., channel] < 250
        agreement = np.corrcoef(pixels[..., channel][unclipped], lit[..., channel][unclipped])
        assert agreement[0, 1] > 0.8
    black = np.asarray(ALTERATIONS["light"](Image.new("RGB", (9, 9)), KeyedNumbers(key)))
    assert black.mean() < 6
    change = np.log2(((lit / 255) ** 2.2).mean() / ((pixels / 255) ** 2.2).mean())
    assert -3.5 < change < 1.1
    assert abs(change) > 0.05


def test_perspective_is_the_homography_of_its_corners() -> None:
    image = waves(80)
    corners = ((6.0, 3.0), (71.0, 9.0), (76.0, 70.0), (2.0, 77.0))
    found = np.asarray(perspective(image, (60, 50), corners), np.float64)
    inner = (slice(1, -1), slice(1, -1))
    assert np.abs(found - homography(image, (60, 50), corners))[inner].max() <= 2


def homography(
    image: Image.Image, size: tuple[int, int], corners: tuple[tuple[float, float], ...]
) -> NDArray[np.float64]:
    """The same by the null space of the direct linear transform, sampled bilinearly in numpy."""
    width, height = size
    rows = []
    for (x, y), (u, v) in zip(
        ((0, 0), (width, 0), (width, height), (0, height)), corners, strict=True
    ):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, -u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, -v])
    matrix = np.linalg.svd(np.array(rows, np.float64))[2][-1].reshape(3, 3)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    u, v, w = np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), 1)
    u, v = u / w - 0.5, v / w - 0.5
    left, upper = np.floor(u).astype(int), np.floor(v).astype(int)
    across, down = (u - left)[..., None], (v - upper)[..., None]
    pixels = np.asarray(image, np.float64)
    top = pixels[upper, left] * (1 - across) + pixels[upper, left + 1] * across
    bottom = pixels[upper + 1, left] * (1 - across) + pixels[upper + 1, left + 1] * across
    result: NDArray[np.float64] = top * (1 - down) + bottom * down
    return result


@pytest.mark.parametrize("key", KEYS)
def test_a_perspective_loses_no_more_than_the_edges(key: str) -> None:
    middle = Image.new("RGB", (100, 80), "white")
    middle.paste("red", (20, 16, 80, 64))
    seen = np.asarray(ALTERATIONS["perspective"](middle, KeyedNumbers(key)))
    assert seen.shape == (80, 100, 3)
    red = (seen[..., 1] < 128).mean()
    assert 0.36 < red < 0.9  # larger than before, and not all that is left


@pytest.mark.parametrize("key", KEYS)
def test_a_photo_of_a_screen_has_the_moire_that_sampling_theory_predicts(key: str) -> None:
    numbers = KeyedNumbers(key)
    photo = ALTERATIONS["screen capture"](Image.new("RGB", (400, 400), (150, 150, 150)), numbers)
    green = np.asarray(photo, np.float64)[..., 1]
    side = 2 * (min(green.shape) // 3)
    start = min(green.shape) // 6
    middle = green[start : start + side, start : start + side]
    window = np.outer(np.hanning(side), np.hanning(side))
    spectrum = np.abs(np.fft.rfft2((middle - middle.mean()) * window))
    spectrum[:4, :4] = spectrum[-3:, :4] = 0  # the reflection
    peak = np.unravel_index(spectrum.argmax(), spectrum.shape)
    frequency = np.hypot(min(peak[0], side - peak[0]), peak[1]) / side
    # A display pixel is `ratio` camera pixels wide, above the highest frequency that the camera
    # can tell (one half), so that its grid appears at 1 minus its frequency.
    ratio = numbers.uniform("camera", 1.05, 1.45)
    assert spectrum.max() > 8 * np.median(spectrum)
    assert frequency == pytest.approx(1 - 1 / ratio, abs=0.12)


@pytest.mark.parametrize("key", KEYS)
def test_a_photo_of_a_screen_shows_the_image(key: str) -> None:
    image = waves(200)
    photo = ALTERATIONS["screen capture"](image, KeyedNumbers(key)).resize((20, 20))
    small = np.asarray(image.resize((20, 20)), np.float64)[4:-4, 4:-4]
    seen = np.asarray(photo, np.float64)[4:-4, 4:-4]
    for channel in range(3):
        assert np.corrcoef(small[..., channel].ravel(), seen[..., channel].ravel())[0, 1] > 0.85
