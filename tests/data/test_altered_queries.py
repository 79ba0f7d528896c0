"""Data of which no two images show the same: altered copies are the queries, and it is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecmp.data import Dataset, load_dataset
from edgecmp.data.alterations import altered
from edgecmp.data.altered_queries import ALTERED, ORIGINAL, QUERIES_NOTE
from edgecmp.data.image_files import read_image
from edgecmp.data.shard_writer import write_shards
from edgecmp.data.unlabelled import open_unlabelled
from edgecmp.errors import UserError
from edgecmp.inspection.core import inspect_shards
from edgecmp.preprocessing import Preprocessing

SIDE = Preprocessing(input_size=24)


def write_noise(folder: Path, names: list[str]) -> Path:
    """Different images of several sizes, one with transparency."""
    random = np.random.default_rng(0)
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (20 + number, 30, 4), np.uint8)
        mode = "RGBA" if number == 1 else "RGB"
        Image.fromarray(pixels, "RGBA").convert(mode).save(folder / name)
    return folder


def flat(folder: Path, count: int = 30) -> Path:
    return write_noise(folder, [f"{number:02d}.png" for number in range(count)])


def keys(data: Dataset) -> list[tuple[str, ...]]:
    return [images.keys for images in (data.train, data.validation, data.test)]


def test_each_image_is_found_by_its_altered_copy(tmp_path: Path) -> None:
    data = load_dataset(flat(tmp_path / "photos"))
    assert data.queries_note == QUERIES_NOTE
    assert len(data.train) + len(data.validation) // 2 + len(data.test) // 2 == 30
    for split in ("validation", "test"):
        task = data.retrieval(split)
        assert task.queries.identities.tolist() == task.gallery.identities.tolist()
        prepared = task.queries.pixels(SIDE)
        for place, key in enumerate(task.gallery.keys):
            image = read_image(tmp_path / "photos" / key)
            assert np.array_equal(prepared[place], SIDE.fit(altered(image, key)))
            assert task.queries.keys[place].startswith(f"{key}, altered by ")
        assert np.array_equal(
            task.gallery.pixels(SIDE)[0],
            SIDE.fit(read_image(tmp_path / "photos" / task.gallery.keys[0])),
        )
        assert {*task.queries.keys} & {*task.gallery.keys} == set()


@pytest.mark.parametrize("lossless", [True, False])
def test_every_reader_has_the_same_copies(tmp_path: Path, lossless: bool) -> None:
    folder = flat(tmp_path / "photos")
    direct = load_dataset(folder)
    (folder / "list.csv").write_text("path\n" + "\n".join(f"{n:02d}.png" for n in range(30)))
    (tmp_path / "list.toml").write_text('path = "photos/list.csv"\nlabels = "none"\n')
    listed = load_dataset(tmp_path / "list.toml")
    assert keys(listed) == keys(direct)
    assert listed.test.fingerprint == direct.test.fingerprint
    assert np.array_equal(listed.test.pixels(SIDE), direct.test.pixels(SIDE))

    write_shards(direct, tmp_path / "shards", lossless=lossless)
    shards = load_dataset(tmp_path / "shards")
    assert shards.queries_note == QUERIES_NOTE
    assert keys(shards) == keys(direct)
    stored, expected = (data.retrieval("test").queries for data in (shards, direct))
    difference = stored.pixels(SIDE).astype(int) - expected.pixels(SIDE)
    assert np.abs(difference).mean() < (1e-9 if lossless else 6)
    assert stored.source.file(0) is None
    assert inspect_shards(tmp_path / "shards").facts["queries"] == QUERIES_NOTE


def test_pixels_come_in_the_order_of_the_rows_and_are_kept(tmp_path: Path) -> None:
    test = load_dataset(flat(tmp_path / "photos")).test
    order = np.random.default_rng(0).permutation(len(test))
    whole = test.pixels(SIDE)
    assert np.array_equal(test.pixels(SIDE, order), whole[order])
    for place in (0, len(test) - 1):
        image = test.source.image(int(test.rows[place]))
        assert np.array_equal(whole[place], SIDE.fit(image))
    assert test.source.file(int(test.rows[0])) == tmp_path / "photos" / test.keys[0]
    assert test.source.file(int(test.rows[-1])) is None


def test_the_training_images_are_those_of_the_folder_alone(tmp_path: Path) -> None:
    data = load_dataset(flat(tmp_path / "photos"))
    assert not any("altered" in key for key in data.train.keys)
    assert data.train.domain_names == (ORIGINAL, ALTERED)
    assert set(data.train.domains) == {0}


def test_a_changed_image_changes_the_fingerprint_of_its_copy(tmp_path: Path) -> None:
    folder = flat(tmp_path / "photos")
    before = load_dataset(folder)
    Image.new("RGB", (30, 30), "red").save(folder / before.test.keys[0])
    after = load_dataset(folder)
    assert keys(after) == keys(before)
    assert after.test.fingerprint != before.test.fingerprint


def test_one_image_per_identity_takes_the_same_road(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_noise(tmp_path / "shop", [f"id{number:02d}/photo.png" for number in range(30)])
    data = load_dataset(tmp_path / "shop")
    assert "No two images of" in capsys.readouterr().err
    assert data.queries_note
    task = data.retrieval("test")
    names = [task.gallery.identity_names[identity] for identity in task.gallery.identities]
    assert [key.split("/")[0] for key in task.gallery.keys] == names
    assert "altered copies" in task.describe()
    assert "altered copies" in data.describe()


def test_a_table_with_domains_and_cameras_but_no_pairs_loses_both(tmp_path: Path) -> None:
    flat(tmp_path, 12)
    rows = [f"{n:02d}.png,id{n},{'shop' if n % 2 else 'user'},{n % 3}" for n in range(12)]
    (tmp_path / "m.csv").write_text("path,identity,domain,camera\n" + "\n".join(rows))
    task = load_dataset(tmp_path / "m.csv").retrieval("test")
    assert task.cameras is None
    assert len(task.queries) == len(task.gallery)
    with pytest.raises(UserError, match="no query"):
        load_dataset(tmp_path / "m.csv", gallery_domain="shop").retrieval("test")


def test_single_images_among_others_are_distractors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"id{number:02d}/{one}.png" for number in range(30) for one in range(1 + number % 2)]
    data = load_dataset(write_noise(tmp_path / "shop", names))
    assert "15 of 30 identities of" in capsys.readouterr().err
    assert not data.queries_note
    task = data.retrieval("test")
    assert (len(task.queries), len(task.gallery)) == (6, 12)  # 40 % of either kind


def test_copies_of_a_file_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = flat(tmp_path / "photos", 12)
    (folder / "copy.png").write_bytes((folder / "03.png").read_bytes())
    data = load_dataset(folder)
    assert "Left out 1 image of" in capsys.readouterr().err
    assert sum(map(len, keys(data))) == 12 + len(data.validation) // 2 + len(data.test) // 2


def test_altered_copies_are_no_images_for_training(tmp_path: Path) -> None:
    folder = flat(tmp_path / "photos", 12)
    (tmp_path / "d.toml").write_text('path = "photos"\nlabels = "none"\n')
    assert sorted(open_unlabelled(tmp_path / "d.toml").keys) == sorted(
        path.name for path in folder.iterdir()
    )


@pytest.mark.parametrize(("count", "sizes"), [(6, (2, 2, 2)), (12, (5, 2, 5)), (50, (20, 10, 20))])
def test_tiny_sets_can_be_judged(tmp_path: Path, count: int, sizes: tuple[int, ...]) -> None:
    data = load_dataset(flat(tmp_path / "photos", count))
    data.require("train", "validation", "test")
    queries = [len(data.retrieval(split).queries) for split in ("validation", "test")]
    assert (len(data.train), *queries) == sizes
    assert "95 % interval" in data.describe()


def test_what_is_too_small_is_explained_with_its_sizes(tmp_path: Path) -> None:
    data = load_dataset(flat(tmp_path / "photos", 5))
    with pytest.raises(UserError, match=r"5 identities, 2 for training, 1 for .*Add images: six"):
        data.require("train", "validation")
    with pytest.raises(UserError, match=r"1 training image, and a training needs two"):
        load_dataset(flat(tmp_path / "four", 4)).require("train")
