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
    ],
)
def test_wrong_descriptions_are_named(photos: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_dataset(describe(photos, text))
