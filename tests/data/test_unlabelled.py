"""Images without labels: nested folders, and data sets whose identities are ignored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecmp.data import load_dataset
from edgecmp.data.shard_writer import write_shards
from edgecmp.data.unlabelled import open_unlabelled
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.identity_folders import write_identities

SMALL = Preprocessing(input_size=8)


def test_a_folder_is_read_at_any_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("a.png", "train/b.jpg", "x/y/z/c.png", "x/y/.hidden.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (len(place), 0, 0)).save(tmp_path / place)
    (tmp_path / "x" / "notes.txt").write_text("no image")
    (tmp_path / "x" / "broken.png").write_bytes(b"no image either")
    images = open_unlabelled(tmp_path)
    assert images.keys == ("a.png", "train/b.jpg", "x/y/z/c.png")
    assert images.identities.tolist() == [-1, -1, -1]
    assert images.pixels(SMALL)[:, 4, 4, 0].tolist() == pytest.approx([5, 11, 11], abs=2)
    said = capsys.readouterr().err
    assert "1 file of" in said
    assert "1 of 4 images" in said
    assert "left out: x/broken.png" in said


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"contains no images, but 1 \.txt"):
        open_unlabelled(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1 of 1 image of .* cannot be read: broken\.png"):
        open_unlabelled(tmp_path)
    with pytest.raises(UserError, match="Unknown dataset"):
        open_unlabelled(tmp_path / "nothing")


@pytest.mark.parametrize("kind", ["manifest", "description", "shards"])
def test_identities_and_splits_of_a_data_set_are_ignored(kind: str, tmp_path: Path) -> None:
    photos = write_identities(tmp_path / "photos", {"train": 2, "validation": 2, "test": 3})
    files = sorted(photos.rglob("*.png"))
    place = tmp_path / kind
    if kind == "manifest":
        place = tmp_path / "photos.csv"
        rows = [f"{file.relative_to(tmp_path)},{file.parent.name}" for file in files]
        place.write_text("\n".join(["path,identity", *rows]))
    elif kind == "description":
        place = tmp_path / "photos.toml"
        place.write_text('path = "photos"')
    else:
        write_shards(load_dataset(photos), place, lossless=True)
    images = open_unlabelled(place)
    assert len(images) == len(files) == 28
    assert set(images.identities.tolist()) == {-1}
    found = {image.tobytes() for image in images.pixels(Preprocessing(input_size=32))}
    assert found == {np.asarray(Image.open(file)).tobytes() for file in files}
