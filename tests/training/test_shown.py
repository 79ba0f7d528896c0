"""What the gallery model sees: the original, changed as the phone's image was, then prepared.

The reference changes the original itself, pixel by pixel, and prepares the result as the gallery
model prepares any image: nothing of it knows where one frame lies in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor

from edgecmp.preprocessing import Preprocessing
from edgecmp.training.augment import NONE, Augmentation
from edgecmp.training.draws import Draws
from edgecmp.training.pictures import Picture, TwoFrames
from edgecmp.training.shown import Blend, Shown, TeacherImages

PHONE = Preprocessing(input_size=48)
PAD = Preprocessing(input_size=64)
CROP = Preprocessing(input_size=56, geometry="crop", short_side=64, filter="bicubic")
TALL = Preprocessing(input_size=72, width=40, geometry="crop", short_side=80)
STRETCH = Preprocessing(input_size=64, geometry="stretch", filter="bicubic")
WIDE = Preprocessing(input_size=40, width=72)
TEACHERS = {"pad": PAD, "crop": CROP, "tall crop": TALL, "stretch": STRETCH, "wide pad": WIDE}
SIZES = ((110, 110), (140, 90), (80, 150))
GEOMETRY = replace(NONE, rotation=25.0, scale=0.25, stretch=0.15, shift=0.12)
STRONG = replace(GEOMETRY, brightness=0.3, contrast=0.3, saturation=0.5, hue=0.3)


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth picture that fades to white, so that the order of resampling matters little."""
    random = np.random.default_rng(seed)
    values = gaussian_filter(random.normal(0, 1, (height, width, 3)), (6, 6, 0))
    values = (128 + values * (60 / values.std())).clip(0, 255)
    near = np.minimum.outer(_from_edge(height), _from_edge(width))[..., None]
    return Image.fromarray((255 - near * (255 - values)).astype(np.uint8))


def _from_edge(length: int) -> NDArray[np.float64]:
    """0 at both ends, 1 from 16 pixels on."""
    place = np.arange(length) + 0.5
    return np.minimum(np.minimum(place, length - place) / 16, 1.0)


def around(image: Image.Image) -> tuple[float, float, float]:
    """The centre of the phone's frame, in pixels of the original, and half its side in its own."""
    half = PHONE.input_size / 2
    placement = PHONE.placement(*image.size)
    across, down = placement.scales
    left, top = placement.corner
    return (half - left) / across, (half - top) / down, half


def changed_original(image: Image.Image, draws: Draws, quarter: NDArray[np.float64]) -> Image.Image:
    """The original on a large white ground after the changes, with the same centre."""
    width, height = image.size
    margin = max(width, height)
    wide, high = width + 2 * margin, height + 2 * margin
    ground = np.full((high, wide, 3), 255.0)
    ground[margin : margin + height, margin : margin + width] = np.asarray(image)
    scales = PHONE.placement(width, height).scales
    x0, y0, half = around(image)
    rows, columns = np.mgrid[0:high, 0:wide]
    points = np.stack(
        [
            (columns + 0.5 - margin - x0) * scales[0] / half,
            (rows + 0.5 - margin - y0) * scales[1] / half,
        ]
    )
    affine = draws.affine[0].double().numpy()
    shows = np.einsum("ij,jhw->ihw", affine[:, :2] @ quarter, points) + affine[:, 2, None, None]
    at = [
        shows[1] * half / scales[1] + y0 + margin - 0.5,
        shows[0] * half / scales[0] + x0 + margin - 0.5,
    ]
    moved = np.stack(
        [map_coordinates(ground[..., c], at, order=1, cval=255.0) for c in range(3)], -1
    )
    colour, offset = draws.colour[0].double().numpy(), float(draws.offset[0])
    painted = (moved - 128) @ colour.T + offset
    return Image.fromarray(painted.clip(0, 255).round().astype(np.uint8))


def prepared(image: Image.Image, original: tuple[int, int], teacher: Preprocessing) -> Tensor:
    """What the teacher's preprocessing makes of the place of the original in a larger image."""
    width, height = original
    margin = (image.width - width) // 2
    placement = teacher.placement(width, height)
    frame_wide, frame_high = placement.frame
    across, down = placement.scales
    left, top = margin - placement.corner[0] / across, margin - placement.corner[1] / down
    box = (left, top, left + frame_wide / across, top + frame_high / down)
    resampling = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    shown = image.resize(placement.frame, resampling[teacher.filter], box=box)
    return torch.from_numpy(np.array(shown)).permute(2, 0, 1).float()


def seen(
    images: Sequence[Image.Image],
    teacher: Preprocessing,
    augmentation: Augmentation,
    draws: Draws | None,
) -> TeacherImages:
    frames = TwoFrames(PHONE, teacher, augmentation)
    return TeacherImages([frames.picture(image) for image in images], frames, draws)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("teacher", TEACHERS.values(), ids=TEACHERS)
def test_it_is_the_changed_original_prepared_by_its_own_preprocessing(
    teacher: Preprocessing, size: tuple[int, int]
) -> None:
    image = photo(*size)
    for seed in range(2):
        draws = STRONG.draw(1, torch.Generator().manual_seed(seed))
        found = seen([image], teacher, STRONG, draws).planes()[0]
        changed = changed_original(image, draws, np.eye(2))
        expected = prepared(changed, size, teacher)
        assert (found - expected).abs().mean() < 0.2 * (found - found.roll(1, 2)).abs().mean()
        assert (found - expected).abs().mean() < 1.5  # levels, by the order of resampling


def test_quarter_turns_of_an_original_that_is_not_square_and_stretched() -> None:
    """The frame is not square in the original, so that turning its pixels would be wrong."""
    image = photo(140, 90)
    draws = GEOMETRY.draw(8, torch.Generator().manual_seed(3))
    blend = Blend(torch.arange(8), torch.zeros(8, 1, 1, 1))
    turns = blend.turns(8).double().numpy()
    shown = TeacherImages(*_fields(seen([image] * 8, STRETCH, GEOMETRY, draws)), blend).planes()
    for row in range(8):
        changed = changed_original(image, draws.of(slice(row, row + 1)), turns[row])
        expected = prepared(changed, image.size, STRETCH)
        assert (shown[row] - expected).abs().mean() < 1.5


def _fields(images: TeacherImages) -> tuple[Sequence[Picture], TwoFrames, Draws | None]:
    return images.pictures, images.frames, images.draws


def test_the_frame_of_the_phone_shows_what_the_phone_sees() -> None:
    """Geometry, colours, erasing, turning, mirroring and blending, against the phone's own code."""
    images = [photo(*SIZES[row % 3], seed=row) for row in range(10)]
    pixels = torch.from_numpy(np.stack([PHONE.fit(image) for image in images]))
    augmentation = replace(STRONG, erase=0.7)
    draws = augmentation.draw(10, torch.Generator().manual_seed(1))
    blend = Blend(torch.arange(8), torch.linspace(0, 1, 8).view(8, 1, 1, 1))
    teacher = seen(images, PHONE, augmentation, draws)
    expected = Shown(draws.apply(pixels), torch.arange(10), teacher).blended(blend)
    assert expected.teacher is not None
    difference = (expected.teacher.planes() - expected.images).abs()
    assert difference.mean() < 0.01
    assert difference.quantile(0.999) < 0.5  # a pixel at the border of a rectangle may be in it


def test_an_erased_rectangle_covers_the_same_part_of_the_original() -> None:
    erasing = replace(NONE, erase=1.0)
    draws = erasing.draw(6, torch.Generator().manual_seed(2))
    white = [Image.new("RGB", (96, 96), "white")] * 6
    on_phone = draws.apply(torch.full((6, 48, 48, 3), 255, dtype=torch.uint8)) != 255.0
    assert 0.01 < on_phone.float().mean() < 0.15
    twice = seen(white, Preprocessing(input_size=96), erasing, draws).planes() != 255.0
    assert torch.equal(twice, on_phone.repeat_interleave(2, 2).repeat_interleave(2, 3))
    centre = Preprocessing(input_size=64, geometry="crop", short_side=96)
    cropped = seen(white, centre, erasing, draws).planes() != 255.0
    assert torch.equal(cropped, twice[:, :, 16:80, 16:80])


sides = st.integers(1, 60)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(sides, sides), min_size=1, max_size=4),
    frame=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    geometry=st.sampled_from(["pad", "crop", "stretch"]),
    larger=st.integers(0, 20),
    mode=st.sampled_from(["RGB", "RGBA", "L"]),
)
def test_without_changes_it_is_what_its_preprocessing_makes_of_the_image(
    sizes: list[tuple[int, int]],
    frame: tuple[int, int],
    geometry: Any,
    larger: int,
    mode: str,
) -> None:
    teacher = Preprocessing(
        input_size=frame[0],
        width=frame[1],
        geometry=geometry,
        short_side=max(frame) + larger if geometry == "crop" else None,
        background=(10, 200, 60),
    )
    random = np.random.default_rng(0)
    images = [
        Image.fromarray(random.integers(0, 256, (height, width, 4), np.uint8)).convert(mode)
        for width, height in sizes
    ]
    for augmentation in (NONE, STRONG):
        found = seen(images, teacher, augmentation, None).planes()
        expected = np.stack([teacher.fit(image) for image in images])
        np.testing.assert_array_equal(found.permute(0, 2, 3, 1).numpy(), expected)


def test_what_lies_around_a_crop_is_kept_as_far_as_changes_may_show_it() -> None:
    image = photo(400, 200)
    centre = Preprocessing(input_size=40, geometry="crop", short_side=100)
    frames = {strength: TwoFrames(PHONE, centre, strength) for strength in (NONE, GEOMETRY)}
    nothing, some = (frame.picture(image).pixels.shape for frame in frames.values())
    assert nothing[0] <= 44
    assert nothing[1] <= 44
    assert 60 < some[0] <= 100
    assert 60 < some[1] < 200
    kept = frames[GEOMETRY].picture(image)
    complete = TwoFrames(PHONE, centre, replace(GEOMETRY, shift=9.0)).picture(image)
    assert complete.pixels.shape == (100, 200, 3)
    for seed in range(20):
        draws = GEOMETRY.draw(1, torch.Generator().manual_seed(seed))
        cut, whole = (
            TeacherImages([picture], frames[GEOMETRY], draws).planes()
            for picture in (kept, complete)
        )
        torch.testing.assert_close(cut, whole, atol=1e-2, rtol=0)


def test_parts_and_subsets_are_rows_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [photo(*SIZES[row % 3], seed=row) for row in range(6)]
    draws = STRONG.draw(6, torch.Generator().manual_seed(1))
    whole = seen(images, CROP, STRONG, draws)
    planes = whole.planes()
    monkeypatch.setattr("edgecmp.training.shown.PIXELS_AT_ONCE", 2 * 64 * 64)
    torch.testing.assert_close(whole.planes(), planes, atol=1e-2, rtol=0)
    rows = torch.tensor([4, 1])
    torch.testing.assert_close(whole.of(rows).planes(), planes[rows], atol=1e-2, rtol=0)
    batch = Shown(planes, torch.arange(6), whole, planes.flatten(1))
    parts = batch.chunks(4)
    assert [part.indices.tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    for part in parts:
        assert part.teacher is not None
        torch.testing.assert_close(part.teacher.planes(), part.images, atol=1e-2, rtol=0)
        assert part.targets is not None
        assert torch.equal(part.targets, part.images.flatten(1))
