"""A data set described in TOML: read like the images it names, with its options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecmp.data import load_dataset
from edgecmp.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten identities in the domains shop and user, one of their images truncated."""
    rows = ["path,identity,domain"]
    random = np.random.default_rng(0)
    for identity in range(10):
        for domain in ("shop", "user"):
            name = f"{identity}-{domain}.png"
            picture = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / name)
            rows.append(f"{name},id{identity},{domain}")
    rows.append("broken.png,id0,user")
    (tmp_path / "broken.png").write_bytes((tmp_path / "0-shop.png").read_bytes()[:40])
    (tmp_path / "list.csv").write_text("\n".join(rows))
    return tmp_path


def describe(folder: Path, text: str) -> str:
    file = folder / "photos.toml"
    file.write_text(text)
    return str(file)


def test_options_apply_and_paths_are_relative_to_the_file(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'path = "list.csv"\ngallery_domain = "shop"\non_bad_image = "skip"\n'
    data = load_dataset(describe(photos, text))
    assert data.gallery_domain == "shop"
    assert len(data.train) + len(data.validation) + len(data.test) == 20
    assert "broken.png" in capsys.readouterr().err


def test_bad_images_are_refused_unless_it_says_skip(photos: Path) -> None:
    with pytest.raises(UserError, match=r"broken\.png"):
        load_dataset(describe(photos, 'path = "list.csv"'))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path = ", "cannot be read"),
        ('gallery_domain = "shop"', "path: field required"),
        ('path = "list.csv"\non_bad_image = "ignore"', "on_bad_image"),
        ('path = "list.csv"\nsplit = 3', "split"),
        ('path = "missing.csv"', "missing"),
        ("path = 3", "path: input is not a valid path"),
        ('path = ["list.csv"]', "path: input is not a valid path"),
        ('path = "list.csv"\nmax_megapixels = 0', "max_megapixels: input should be greater than 0"),
        ('path = "list.csv"\nmax_megapixels = inf', "max_megapixels"),
        ('path = "list.csv"\nmax_megapixels = "many"', "max_megapixels: input should be a valid"),
        (
            'path = "list.csv"\nbox_format = "cxcywh"',
            "box_format: input should be 'xyxy' or 'xywh'",
        ),
        ('path = "list.csv"\nbox_format = ["xywh"]', "box_format"),
        ('path = "list.csv"\nbox_format = "xywh"', "has no boxes, so box_format has no effect"),
        ('path = "list.csv"\nformat = []', "format: input should be a valid string"),
        ('path = "list.csv"\nmax_megapixel = 9', "Did you mean max_megapixels"),
        ('path = "."\nbox_format = "xywh"', "the format folder, which has no key box_format"),
    ],
)
def test_wrong_descriptions_are_named(photos: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_dataset(describe(photos, text))


def test_a_byte_order_mark_changes_nothing(photos: Path) -> None:
    (photos / "photos.toml").write_bytes(
        '\ufeffpath = "list.csv"\non_bad_image = "skip"\n'.encode()
    )
    data = load_dataset(photos / "photos.toml")
    assert len(data.train) + len(data.validation) + len(data.test) == 20


def test_max_megapixels_is_the_limit_of_images(photos: Path) -> None:
    Image.new("RGB", (2000, 1000)).save(photos / "broken.png")
    text = 'path = "list.csv"\nmax_megapixels = {}\n'
    with pytest.raises(
        UserError, match=r"1 of 21 images .*broken\.png .*more than max_megapixels = 1\.5"
    ) as refused:
        load_dataset(describe(photos, text.format(1.5)))
    assert "DOS attack" not in str(refused.value)
    data = load_dataset(describe(photos, text.format(2)))
    assert len(data.train) + len(data.validation) + len(data.test) == 21
