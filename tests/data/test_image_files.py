"""Files of images: what is refused and why, the switch for large ones, and one decoder for all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecmp.data import load_dataset
from edgecmp.data.ijbc import AlignedFaces
from edgecmp.data.ijbc.align import TEMPLATE
from edgecmp.data.image_files import FileImages, ImageRecord, check_files, read_image
from edgecmp.data.shard_writer import write_shards
from edgecmp.decoding import decode, flat
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.odd_image import encoded, picture, turned
from tests.fixtures.odd_lossless import odd_lossless
from tests.fixtures.odd_photos import odd_photos

PHOTO = Image.fromarray(picture())
PREPARE = Preprocessing(input_size=40)


def record(path: Path, box: tuple[float, float, float, float] | None = None) -> ImageRecord:
    return ImageRecord(path=path, key=path.name, identity="one", box=box)


def reason(path: Path) -> str:
    digests, broken = check_files([record(path)])
    assert digests == [""]
    return broken[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_only_files_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("pipe", "zero", "folder"):
        assert reason(tmp_path / f"{name}.jpg") == "it is not a file"
    assert reason(tmp_path / "missing.jpg") == "no such file"
    assert reason(tmp_path / f"{'long' * 80}.jpg") == "file name too long"
    assert reason(tmp_path / "nul\0.jpg") == "no file can have that name"


def test_a_broken_file_is_named_with_its_reason_and_the_others_are_read(tmp_path: Path) -> None:
    whole, damaged = tmp_path / "whole.png", tmp_path / "damaged.png"
    whole.write_bytes(encoded(PHOTO, "PNG"))
    damaged.write_bytes(encoded(PHOTO, "PNG")[:90])
    digests, broken = check_files([record(damaged), record(whole)])
    assert broken == {0: "it is cut off"}
    assert len(digests[1]) == 64
    with pytest.raises(UserError, match=r"damaged\.png cannot be read as an image: it is cut off"):
        read_image(damaged)
    whole.write_bytes(b"")
    with pytest.raises(UserError, match=r"whole\.png can no longer be read: the file is empty"):
        FileImages([record(whole)], digests[1:]).image(0)


def test_max_megapixels_raises_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(encoded(Image.new("1", (2000, 1500)), "PNG"))
    records = [record(path)]
    _, broken = check_files(records, max_megapixels=2.5)
    assert "2000 x 1500" in broken[0]
    assert "max_megapixels = 2.5" in broken[0]
    digests, broken = check_files(records, max_megapixels=3)
    assert broken == {}
    assert FileImages(records, digests, max_megapixels=3).image(0).size == (2000, 1500)
    with pytest.raises(UserError, match="max_megapixels = 2"):
        FileImages(records, digests, max_megapixels=2).image(0)


def test_a_box_of_an_image_above_pillows_limit_is_cropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # in the place of 89 million
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(PHOTO, "PNG"))
    found = FileImages([record(path, (4, 4, 44, 30))], ["digest"]).image(0)
    assert np.array_equal(np.asarray(found), picture()[4:30, 4:44])


def test_a_box_of_sixteen_bit_grey_has_the_shades_of_the_complete_image(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    values[:20, :20] = 200  # of 65535: black, although it is the brightest shade in the box
    path = tmp_path / "deep.png"
    path.write_bytes(encoded(Image.fromarray(values), "PNG"))
    whole = np.asarray(read_image(path))
    part = FileImages([record(path, (0, 0, 20, 20))], ["digest"]).image(0)
    assert np.array_equal(np.asarray(part), whole[:20, :20])
    assert np.asarray(part).max() == 0


def test_every_reader_sees_the_same_pixels(tmp_path: Path) -> None:
    """Folders, photos of `find`, shards without loss, and IJB-C, for every odd image."""
    images = [*odd_photos(), *odd_lossless()]
    suffixes = {"jpeg2000": "jp2", "pnm": "pnm"}
    root = tmp_path / "data"
    names = []
    for number, image in enumerate(images):
        suffix = suffixes.get(image.format, image.format)
        for split in ("train", "test"):
            folder = root / split / f"{split}{number:03d}"
            folder.mkdir(parents=True)
            for copy in ("a", "b"):
                (folder / f"{copy}.{suffix}").write_bytes(image.content)
        names.append(f"test/test{number:03d}/a.{suffix}")
    folder_set = load_dataset(root)
    write_shards(folder_set, tmp_path / "shards", lossless=True)
    shards = load_dataset(tmp_path / "shards")
    # faces whose points leave them where they are
    faces = SimpleNamespace(names=names, points=np.array([TEMPLATE] * len(names)))
    ijbc: Any = SimpleNamespace(images=root, faces=faces)
    aligned = AlignedFaces(ijbc).read(range(len(names)))
    place = {key: index for index, key in enumerate(folder_set.test.keys)}
    in_folder = folder_set.test.pixels(PREPARE)
    in_shards = shards.test.pixels(PREPARE)
    assert shards.test.keys == folder_set.test.keys
    for image, name, face in zip(images, names, aligned, strict=True):
        key = name.removeprefix("test/")
        row = place[key] if key in place else place[name]
        expected = flat(decode(image.content))
        prepared = PREPARE.fit(expected)
        assert np.array_equal(in_folder[row], prepared), image.name
        assert np.array_equal(in_shards[row], prepared), image.name
        assert np.array_equal(PREPARE.fit(read_image(root / name)), prepared), image.name
        shown = np.asarray(face)[: expected.height, : expected.width]
        # the alignment interpolates, and computes its coefficients from the points
        assert np.abs(shown.astype(int) - np.asarray(expected)).max() <= 1, image.name


def test_a_turned_photo_is_turned_once_through_a_shard(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for identity in ("one", "two", "three"):
            folder = tmp_path / "data" / split / f"{split}-{identity}"
            folder.mkdir(parents=True)
            for name in ("a.jpg", "b.jpg"):
                content = encoded(PHOTO, "JPEG", exif=turned(6), subsampling=0)
                (folder / name).write_bytes(content)
    source = load_dataset(tmp_path / "data")
    write_shards(source, tmp_path / "shards", lossless=True)
    stored = load_dataset(tmp_path / "shards").test.source.image(0)
    assert stored.size == (32, 48)
    with Image.open(io.BytesIO(encoded(PHOTO, "JPEG", subsampling=0))) as upright:
        expected = np.rot90(np.asarray(upright), -1)
    assert np.array_equal(np.asarray(stored), expected)
