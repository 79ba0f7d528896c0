"""One preparation for every part: nothing cut off or distorted, the same numbers everywhere."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing

sides = st.integers(min_value=1, max_value=90)


@settings(max_examples=60)
@given(width=sides, height=sides, size=st.integers(min_value=4, max_value=70))
def test_whole_image_is_kept_centred_in_its_shape(width: int, height: int, size: int) -> None:
    prepared = Preprocessing(input_size=size, background=(0, 255, 0)).fit(
        Image.new("RGB", (width, height), (200, 0, 100))
    )
    assert prepared.shape == (size, size, 3)
    assert prepared.dtype == np.uint8
    is_image = (prepared == (200, 0, 100)).all(-1)
    is_background = (prepared == (0, 255, 0)).all(-1)
    assert (is_image ^ is_background).all()
    rows, columns = np.flatnonzero(is_image.any(1)), np.flatnonzero(is_image.any(0))
    assert is_image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert max(len(rows), len(columns)) == size  # the longer side fills the square
    shorter = max(1, min(width, height) * size / max(width, height))
    assert abs(min(len(rows), len(columns)) - shorter) <= 0.5
    for used in (rows, columns):
        assert abs(used[0] - (size - 1 - used[-1])) <= 1


def test_corners_survive() -> None:
    image = Image.new("RGB", (80, 40), (0, 0, 0))
    for corner, colour in {(0, 0): "red", (79, 0): "lime", (0, 39): "blue"}.items():
        image.paste(
            colour,
            (
                corner[0] // 10 * 10,
                corner[1] // 10 * 10,
                corner[0] // 10 * 10 + 10,
                corner[1] // 10 * 10 + 10,
            ),
        )
    prepared = Preprocessing(input_size=40).fit(image)
    assert prepared[10, 0].tolist() == [255, 0, 0]
    assert prepared[10, 39].tolist() == [0, 255, 0]
    assert prepared[29, 0].tolist() == [0, 0, 255]
    assert prepared[9].tolist() == [[255, 255, 255]] * 40


def test_transparency_shows_the_background() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    prepared = Preprocessing(input_size=4, background=(1, 2, 3)).fit(image)
    assert prepared[0, 0].tolist() == [255, 0, 0]
    assert prepared[3, 3].tolist() == [1, 2, 3]
    palette = image.convert("P")
    palette.info["transparency"] = palette.getpixel((3, 3))
    assert Preprocessing(input_size=4, background=(1, 2, 3)).fit(palette)[3, 3].tolist() == [
        1,
        2,
        3,
    ]


def test_exif_orientation_is_honoured() -> None:
    image = Image.new("RGB", (8, 4), "white")
    image.paste("red", (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: to be turned a quarter clockwise
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    prepared = Preprocessing(input_size=8, background=(0, 0, 0)).fit(Image.open(file))
    assert prepared[0, 4].tolist() == [255, 0, 0]
    assert prepared[7, 4].tolist() == [255, 255, 255]
    assert prepared[4, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert Preprocessing(input_size=5).fit(Image.new(mode, (7, 9))).shape == (5, 5, 3)


def test_sixteen_bit_gray_keeps_its_shades() -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    prepared = Preprocessing(input_size=8).fit(Image.fromarray(values))
    assert np.abs(prepared[..., 0] - values / 257.0).max() <= 1


def test_normalise_is_the_formula_in_channels_last() -> None:
    preprocessing = Preprocessing(input_size=6, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), np.uint8)
    images.flags.writeable = False
    planes = preprocessing.normalise(images)
    assert planes.shape == (3, 3, 6, 6)
    assert planes.dtype == torch.float32
    assert planes.is_contiguous(memory_format=torch.channels_last)
    expected = (images / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(planes.permute(0, 2, 3, 1).numpy(), expected, atol=1e-6)


def test_document_comes_back_with_the_same_fingerprint() -> None:
    preprocessing = Preprocessing(input_size=96, mean=(0.485, 0.456, 0.406), background=(0, 0, 0))
    assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing
    others = [Preprocessing(input_size=96), Preprocessing(input_size=64), preprocessing]
    assert len({other.fingerprint for other in others}) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resize", "lanczos"),
        ("fit", "crop"),
        ("colour", "BGR"),
        ("mean", [0.5]),
        ("std", [0, 1, 1]),
        ("input_size", None),
    ],
)
def test_a_document_of_another_kind_is_refused(field: str, value: object) -> None:
    with pytest.raises(UserError):
        Preprocessing.from_dict(Preprocessing(input_size=8).to_dict() | {field: value})


def test_values_outside_their_range_are_refused() -> None:
    with pytest.raises(UserError, match="input size of 0"):
        Preprocessing(input_size=0)
    with pytest.raises(UserError, match="background"):
        Preprocessing(input_size=8, background=(0, 0, 256))
