"""Contents: exact and near copies of images, compared with distances by SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from edgecmp.data import contents, load_dataset
from edgecmp.data.contents import NEAR, Contents, contents_of
from edgecmp.data.unlabelled import open_unlabelled


def picture(seed: int, side: int = 64) -> Image.Image:
    """A smooth random picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


def folder(path: Path, **images: Image.Image) -> Contents:
    """The contents of images that are written as NAME_ENDING."""
    path.mkdir()
    for name, image in images.items():
        image.save(path / name.replace("_", "."), quality=75)
    return contents_of(open_unlabelled(path))


def test_the_same_pixels_are_exact_copies_in_any_format(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", a_png=picture(0), b_png=picture(1))
    other = folder(tmp_path / "other", x_bmp=picture(1), y_png=picture(2))
    assert one.exact_in(other).tolist() == [False, True]
    assert other.exact_in(one).tolist() == [True, False]
    assert one.sizes.tolist() == [[64, 64], [64, 64]]


def test_a_box_of_a_file_is_a_copy_of_the_file(tmp_path: Path) -> None:
    """A training on the whole photo would see what the test's box shows."""
    (tmp_path / "photos").mkdir()
    picture(0).save(tmp_path / "photos" / "a.png")
    rows = [f"photos/a.png,id{n},{n * 20},0,{n * 20 + 20},20" for n in range(3)]
    (tmp_path / "boxes.csv").write_text("\n".join(["path,identity,x1,y1,x2,y2", *rows]))
    boxes = contents_of(open_unlabelled(tmp_path / "boxes.csv"))
    whole = contents_of(open_unlabelled(tmp_path / "photos"))
    assert not np.isin(whole.digests, boxes.digests).any()
    assert whole.exact_in(boxes).tolist() == [True]


def test_a_copy_in_another_compression_or_size_is_near(tmp_path: Path) -> None:
    originals = folder(tmp_path / "one", **{f"{n}_png": picture(n) for n in range(6)})
    smaller = {f"s{n}_png": picture(n).resize((48, 48), Image.Resampling.BOX) for n in range(3)}
    copies = folder(tmp_path / "two", **{f"{n}_jpg": picture(n) for n in range(3)}, **smaller)
    places, differences = copies.nearest_in(originals)
    assert not copies.exact_in(originals).any()
    assert places.tolist() == [0, 1, 2, 0, 1, 2]
    assert (differences <= NEAR).all()
    others = folder(tmp_path / "three", **{f"{n}_png": picture(n) for n in range(6, 12)})
    assert (others.nearest_in(originals)[1] > NEAR).all()


@pytest.mark.parametrize("at_once", [2048, 3])
def test_the_nearest_is_the_nearest(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_AT_ONCE", at_once)
    images = load_dataset("emoji").validation
    one, other = (contents_of(images.subset(np.arange(*part))) for part in ((0, 10), (5, 25)))
    places, differences = one.nearest_in(other)
    expected = cdist(one.small.astype(np.float64), other.small.astype(np.float64))
    np.testing.assert_array_equal(places, expected.argmin(1))
    np.testing.assert_allclose(differences, expected.min(1) / np.sqrt(768), atol=0.01)
    assert np.isinf(one.nearest_in(other.subset(np.arange(0)))[1]).all()
