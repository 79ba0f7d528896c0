"""Images that join a training: what is left out, so that test identities stay unseen."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecmp.data import Dataset, load_dataset
from edgecmp.data.shard_writer import write_shards
from edgecmp.errors import UserError
from edgecmp.gallery.index import GalleryIndex
from edgecmp.training.more_images import NO_MORE, MoreImages
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.small_training import small_gallery

SPLITS = {"train": 3, "validation": 2, "test": 3}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_identities(tmp_path / "photos", SPLITS)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Five images of nobody in the photos."""
    random = np.random.default_rng(9)
    folder = tmp_path / "other"
    folder.mkdir()
    for name in "abcde":
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def test_test_and_holdout_images_do_not_leak(
    photos: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(photos / "test/test-0/0.png", other / "renamed.png")
    shutil.copy(photos / "validation/validation-1/3.png", other / "query.png")
    Image.open(photos / "test/test-2/1.png").save(other / "again.jpg", quality=90, subsampling=0)
    shutil.copy(photos / "train/train-1/2.png", other / "trained.png")
    shutil.copy(other / "a.png", other / "z.png")
    more = MoreImages.open(load_dataset(photos), [other])
    (images,) = more.unlabelled
    assert images.keys == ("a.png", "b.png", "c.png", "d.png", "e.png")
    assert len(more) == 5
    said = capsys.readouterr().err
    assert "5 images of" in said
    assert "left out 3 images that are in the test split or the hold-out too" in said
    assert "and 2 images that are in the training already" in said


def test_several_paths_join_once(photos: Path, other: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,identity\nother/a.png,x\nother/b.png,x\nphotos/train/train-0/0.png,y\n")
    data = load_dataset(photos)
    more = MoreImages.open(data, [table, other])
    assert [images.keys for images in more.unlabelled] == [
        ("other/a.png", "other/b.png"),
        ("c.png", "d.png", "e.png"),
    ]
    joined = more.joined(data.train)
    assert joined.keys == (*data.train.keys, *more.unlabelled[0].keys, *more.unlabelled[1].keys)
    assert joined.identities.tolist() == [*data.train.identities.tolist(), *[-1] * 5]


def test_nothing_that_may_join_is_refused(photos: Path, other: Path) -> None:
    for image in other.iterdir():
        image.unlink()
    shutil.copy(photos / "test/test-0/0.png", other / "a.png")
    with pytest.raises(UserError, match="1 image that is in the test split or the hold-out too"):
        MoreImages.open(load_dataset(photos), [other])


def test_compressed_shards_of_the_data_do_not_leak(tmp_path: Path) -> None:
    """Shards of the same data have other pixels than the files, but are near copies."""
    emoji = load_dataset("emoji")
    data = Dataset(
        name="some",
        train=emoji.train.subset(np.arange(0, 40)).relabelled(),
        validation=emoji.validation.subset(np.arange(0, 40)).relabelled(),
        test=emoji.test.subset(np.arange(0, 40)).relabelled(),
        gallery_domain="google",
    )
    write_shards(data, tmp_path / "shards")
    more = MoreImages.open(data, [tmp_path / "shards"])
    assert set(more.unlabelled[0].keys) <= set(data.train.keys)


def test_gallery_images_join_without_their_queries(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_dataset(photos)
    more = MoreImages.open(data, gallery_images=True)
    keys = [key for images in more.gallery for key in images.keys]
    assert keys == [f"{s}/{s}-{n}/0.png" for s in ("validation", "test") for n in range(SPLITS[s])]
    assert more.seen is not None
    assert more.seen.gallery.all()
    assert "5 gallery images of" in capsys.readouterr().err
    queries = set(data.retrieval("test").queries.keys)
    assert not queries & set(more.joined(data.train).keys)


def test_a_gallery_image_that_a_query_copies_stays_out(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(photos / "test/test-0/0.png", photos / "test/test-1/9.png")
    more = MoreImages.open(load_dataset(photos), gallery_images=True)
    assert "test/test-0/0.png" not in more.gallery[1].keys
    assert "4 gallery images of" in (said := capsys.readouterr().err)
    assert "1 copy of queries left out" in said


def test_an_index_is_read_from_where_it_was_built(
    photos: Path, tmp_path: Path, other: Path
) -> None:
    gallery = load_dataset(photos).retrieval("test").gallery
    GalleryIndex.build(small_gallery(), gallery, tmp_path / "index")
    with pytest.raises(UserError, match=r"3 images that are in the test split.*--gallery-images"):
        MoreImages.open(load_dataset(photos), [tmp_path / "index"])
    mine = tmp_path / "mine"
    for name in "abcde":
        for copy in range(4):
            place = mine / name / f"{copy}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.asarray(Image.open(other / f"{name}.png")).copy()
            pixels[:8, :8] = 60 * copy
            Image.fromarray(pixels).save(place)
    more = MoreImages.open(load_dataset(mine), [tmp_path / "index"])
    assert more.unlabelled[0].keys == gallery.keys
    shutil.move(photos, tmp_path / "moved")
    with pytest.raises(UserError, match=r"images cannot be read from .* with --unlabelled"):
        MoreImages.open(load_dataset(mine), [tmp_path / "index"])


def test_without_paths_nothing_joins(photos: Path) -> None:
    data = load_dataset(photos)
    assert MoreImages.open(data) == NO_MORE
    assert NO_MORE.joined(data.train) is data.train
    assert NO_MORE.compared == {}


def test_data_without_a_gallery_is_refused(photos: Path) -> None:
    for split in ("validation", "test"):
        for file in photos.glob(f"{split}/*/[123].png"):
            file.unlink()
    with pytest.raises(UserError, match="--gallery-images has no effect"):
        MoreImages.open(load_dataset(photos), gallery_images=True)
