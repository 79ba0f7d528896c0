"""One preparation for every part: nothing cut off or distorted, the same numbers everywhere."""

import io
import json
import math
import tracemalloc
from dataclasses import replace
from typing import Any

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
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I"]
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


def test_a_document_of_an_earlier_version_is_read() -> None:
    """As edgecmp 1.0 wrote it, and as every bundle of the starter kit has it."""
    earlier = {
        "input_size": 64,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "background": [255, 255, 255],
        "fit": "pad",
        "resize": "bilinear",
        "colour": "RGB",
    }
    found = Preprocessing.from_dict(earlier)
    assert found == Preprocessing(input_size=64)
    assert found.to_dict() == earlier | {"short_side": None, "profile": "sRGB"}
    assert found.fingerprint == Preprocessing(input_size=64).fingerprint


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("resize", "lanczos", "resize"),
        ("fit", "zoom", "fit"),
        ("fit", [], "fit"),
        ("colour", "GBR", "colour"),
        ("profile", "P3", "profile"),
        ("mean", [0.5], r"mean\.1"),
        ("mean", [0.5, 0.5, 0.5, 0.5], "mean"),
        ("mean", 0.5, "mean"),
        ("mean", "0.5", "mean"),
        ("mean", [0.5, 0.5, "0.5"], r"mean\.2"),
        ("mean", [0.5, 0.5, math.nan], r"mean\.2"),
        ("std", [math.inf, 1, 1], r"std\.0"),
        ("std", [True, 1, 1], r"std\.0"),
        ("std", [0, 1, 1], "std = .*outside their range"),
        ("mean", [-0.1, 0, 0], "mean = .*outside their range"),
        ("background", [0, 0, 0.5], r"background\.2"),
        ("background", [0, 0, False], r"background\.2"),
        ("background", [0, 0, 256], "background"),
        ("input_size", None, "input_size"),
        ("input_size", True, "input_size"),
        ("input_size", 64.0, "input_size"),
        ("input_size", "64", "input_size"),
        ("input_size", [], "input_size"),
        ("input_size", [64], "input_size"),
        ("input_size", [64, 64, 3], "input_size"),
        ("input_size", {"height": 64}, "input_size"),
        ("input_size", 0, "input size of 0"),
        ("input_size", 10**30, "input size of 10000"),
        ("input_size", [64, 4097], "input size of 4097"),
        ("short_side", 64, "short side of 64"),
        ("short_side", 2.5, "short_side"),
        ("gamma", 2.2, "gamma"),
    ],
)
def test_a_wrong_document_is_refused_and_the_field_named(
    field: str, value: object, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Preprocessing.from_dict(Preprocessing(input_size=8).to_dict() | {field: value})


@pytest.mark.parametrize("field", ["input_size", "mean", "std", "background", "fit", "colour"])
def test_a_missing_field_is_named(field: str) -> None:
    document = Preprocessing(input_size=8).to_dict()
    del document[field]
    with pytest.raises(UserError, match=f"{field}: field required"):
        Preprocessing.from_dict(document)


def test_values_outside_their_range_are_refused() -> None:
    with pytest.raises(UserError, match="input size of 0"):
        Preprocessing(input_size=0)
    with pytest.raises(UserError, match="background"):
        Preprocessing(input_size=8, background=(0, 0, 256))
    with pytest.raises(UserError, match="resized to 7 pixels cannot be cropped to 6 x 8"):
        Preprocessing(input_size=6, width=8, geometry="crop", short_side=7)


@pytest.mark.parametrize(
    ("mean", "std", "right"),
    [
        ([127.5] * 3, [127.5] * 3, "mean = [0.5, 0.5, 0.5] and std = [0.5, 0.5, 0.5]"),
        ([127.5] * 3, [128.0] * 3, "mean = [0.5, 0.5, 0.5] and std = [0.501961, 0.501961,"),
        (
            [123.675, 116.28, 103.53],
            [58.395, 57.12, 57.375],
            "mean = [0.485, 0.456, 0.406] and std = [0.229, 0.224, 0.225]",
        ),
        ([127.5] * 3, [0.5] * 3, "mean = [0.5, 0.5, 0.5] and std = [0.5, 0.5, 0.5]"),
        ([104, 117, 123], [1, 1, 1], "std = [0.00392157, 0.00392157, 0.00392157]"),
        ([0, 0, 0], [255, 255, 255], "mean = [0, 0, 0] and std = [1, 1, 1]"),
    ],
)
def test_a_mean_of_pixels_up_to_255_is_refused_with_the_right_one(
    mean: list[float], std: list[float], right: str
) -> None:
    document = Preprocessing(input_size=8).to_dict() | {"mean": mean, "std": std}
    with pytest.raises(UserError, match=r"not for pixels in 0\.\.1") as raised:
        Preprocessing.from_dict(document)
    assert right in raised.value.way_out


definitions = st.builds(
    Preprocessing,
    input_size=st.integers(1, 40),
    width=st.none() | st.integers(1, 40),
    geometry=st.sampled_from(["pad", "stretch", "crop"]),
    filter=st.sampled_from(["bilinear", "bicubic"]),
    colour=st.sampled_from(["RGB", "BGR"]),
)


@settings(max_examples=80)
@given(one=definitions, other=definitions, width=sides, height=sides)
def test_definitions_and_fingerprints_are_one_to_one(
    one: Preprocessing, other: Preprocessing, width: int, height: int
) -> None:
    assert (one == other) == (one.fingerprint == other.fingerprint)
    assert Preprocessing.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    prepared = one.fit(Image.new("RGB", (width, height), (10, 200, 30)))
    assert prepared.shape == one.shape
    image = (prepared == (10, 200, 30)).all(-1)
    assert image.all() or one.geometry == "pad"
    assert image.any()


def test_a_width_equal_to_the_height_is_a_square() -> None:
    assert Preprocessing(input_size=8, width=8) == Preprocessing(input_size=8)
    cropped = Preprocessing(input_size=8, width=6, geometry="crop")
    assert cropped == Preprocessing(input_size=8, width=6, geometry="crop", short_side=8)


def _by_torchvision(
    image: Image.Image, short_side: int, height: int, width: int, filter: Any
) -> Any:
    """`Resize(short_side)` and `CenterCrop((height, width))` as torchvision's source computes them.

    `_compute_resized_output_size` of torchvision.transforms.functional, then `center_crop`.
    """
    wide, high = image.size
    short, long = (wide, high) if wide <= high else (high, wide)
    new_short, new_long = short_side, int(short_side * long / short)
    new_wide, new_high = (new_short, new_long) if wide <= high else (new_long, new_short)
    pixels = np.asarray(image.resize((new_wide, new_high), filter))
    top = int(round((new_high - height) / 2.0))  # noqa: RUF046 -- as in torchvision
    left = int(round((new_wide - width) / 2.0))  # noqa: RUF046
    return pixels[top : top + height, left : left + width]


def _photo(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@settings(max_examples=80)
@given(
    width=sides,
    height=sides,
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    larger=st.integers(0, 9),
    bicubic=st.booleans(),
)
def test_crops_are_those_of_clip_and_timm(
    width: int, height: int, size: tuple[int, int], larger: int, bicubic: bool
) -> None:
    short_side = max(size) + larger
    prepare = Preprocessing(
        input_size=size[0],
        width=size[1],
        geometry="crop",
        short_side=short_side,
        filter="bicubic" if bicubic else "bilinear",
    )
    if max(width, height) > 16 * min(width, height):
        width, height = max(width, 6), max(height, 6)
    image = _photo(width, height)
    filter = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    np.testing.assert_array_equal(
        prepare.fit(image), _by_torchvision(image, short_side, *size, filter)
    )


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_resized_pixels_are_those_of_torch(filter: Any) -> None:
    """torch's antialiased interpolation is an implementation of its own."""
    image = Image.fromarray(np.asarray(_photo(53, 37)) // 2 + 64)  # nothing to clip in between
    stretch = Preprocessing(input_size=20, width=31, geometry="stretch", filter=filter)
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(
        planes, (20, 31), mode=filter, antialias=True, align_corners=False
    )
    difference = stretch.fit(image) - expected[0].permute(1, 2, 0).clamp(0, 255).numpy()
    assert np.abs(difference).max() < 1.01


def test_a_very_long_image_is_cropped_within_little_memory() -> None:
    image = Image.new("RGB", (60_000, 2), (9, 9, 9))
    image.paste((200, 0, 0), (29_000, 0, 31_000, 2))
    tracemalloc.start()
    prepared = Preprocessing(input_size=224, geometry="crop", short_side=256).fit(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (prepared == (200, 0, 0)).all()  # the centre
    assert peak < 2**26


def test_a_rectangle_is_filled_by_the_complete_image() -> None:
    prepared = Preprocessing(input_size=12, width=30, background=(0, 255, 0)).fit(
        Image.new("RGB", (10, 20), (200, 0, 100))
    )
    assert prepared.shape == (12, 30, 3)
    used = (prepared == (200, 0, 100)).all(-1)
    assert used.sum() == 12 * 6
    assert used[:, 12:18].all()


def test_bgr_is_rgb_with_its_channels_reversed() -> None:
    rgb = Preprocessing(input_size=6, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    bgr = replace(rgb, mean=(0.3, 0.2, 0.1), std=(0.7, 0.6, 0.5), colour="BGR")
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), np.uint8)
    assert torch.equal(bgr.normalise(images), rgb.normalise(images).flip(1))
    assert bgr.normalise(images).is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(bgr.fit(Image.fromarray(images[0])), images[0])
    for prepare in (rgb, bgr):
        found = prepare.denormalise(prepare.normalise(images))
        np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), images, atol=1e-4)


def test_only_padded_rgb_squares_are_for_networks_of_edgecmp() -> None:
    ours = Preprocessing(input_size=8, mean=(0.1, 0.2, 0.3), background=(0, 0, 0))
    ours.check_trainable("runs/query")
    for change in (
        {"width": 9},
        {"geometry": "crop"},
        {"geometry": "stretch"},
        {"filter": "bicubic"},
        {"colour": "BGR"},
    ):
        with pytest.raises(UserError, match=r"runs/query .* does not train or export"):
            replace(ours, **change).check_trainable("runs/query")


def test_same_pixels_ignores_how_channels_are_scaled() -> None:
    one = Preprocessing(input_size=8)
    assert one.same_pixels(replace(one, mean=(0, 0, 0), colour="BGR"))
    for change in ({"width": 9}, {"geometry": "stretch"}, {"filter": "bicubic"}):
        assert not one.same_pixels(replace(one, **change))
    assert not one.same_pixels(replace(one, background=(0, 0, 0)))
