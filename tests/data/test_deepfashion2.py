"""DeepFashion2: queries, gallery and training images of its layout, and errors in it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecmp.data import Dataset, load_dataset
from edgecmp.data.deepfashion2 import Item
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.deepfashion2_layout import items_of, write_deepfashion2

Box = tuple[float, ...]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_deepfashion2(tmp_path_factory.mktemp("deepfashion2"))


@pytest.fixture(scope="module")
def data(root: Path) -> Dataset:
    return load_dataset(root)


def as_items(keys: tuple[str, ...]) -> set[tuple[int, int, Box]]:
    found = [Item.of(key) for key in keys]
    return {(one.image_id, one.category, one.box) for one in found if one}


def test_queries_are_users_items_with_a_counterpart_and_the_gallery_is_all_shop_items(
    root: Path, data: Dataset
) -> None:
    items = items_of(root, "validation")
    shop = [i for i in items if i["source"] == "shop"]
    sold = {(i["pair"], i["style"]) for i in shop}
    asked = [
        i
        for i in items
        if i["source"] == "user" and i["style"] > 0 and (i["pair"], i["style"]) in sold
    ]
    task = data.retrieval("test")
    for images, expected in ((task.queries, asked), (task.gallery, shop)):
        assert len(images) == len(expected)
        assert as_items(images.keys) == {(i["image"], i["category"], i["box"]) for i in expected}
    assert len(asked) < len([i for i in items if i["source"] == "user" and i["style"] > 0])
    distractors = ~np.isin(task.gallery.identities, task.queries.identities)
    assert distractors.sum() >= sum(i["style"] == 0 for i in shop) == 20


def test_training_uses_items_with_a_style_and_holds_out_complete_pairs(
    root: Path, data: Dataset
) -> None:
    items = items_of(root, "train")
    held_out = {name.split("/")[1] for name in data.validation.identity_names}
    trained = {name.split("/")[1] for name in data.train.identity_names}
    assert not held_out & trained
    assert len(held_out) == 2  # a tenth of 20
    assert len(held_out | trained) == 20
    expected = {
        (i["image"], i["category"], i["box"])
        for i in items
        if i["style"] > 0 and f"pair {i['pair']}" in trained
    }
    assert as_items(data.train.keys) == expected
    assert len(data.train) == len(expected)
    task = data.retrieval("validation")
    assert set(task.gallery.domains) == {task.gallery.domain_names.index("shop")}
    styles = {task.gallery.identity_names[i].split("/")[2] for i in task.gallery.identities}
    assert styles == {"style 0", "style 1", "style 2"}


def test_pixels_are_those_inside_the_box(root: Path, data: Dataset) -> None:
    side = Preprocessing(input_size=64)
    images = data.test.subset(range(0, len(data.test), 7))
    for key, pixels in zip(images.keys, images.pixels(side), strict=True):
        item = Item.of(key)
        assert item is not None
        with Image.open(root / key.split("#")[0]) as photo:
            expected = photo.crop(tuple(map(int, item.box)))  # type: ignore[arg-type]
        assert np.array_equal(pixels, np.asarray(expected))


def test_a_description_sets_the_share_and_the_category(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "fashion.toml"
    lines = [f'path = "{root}"', 'format = "deepfashion2"', "validation_share = 0.25"]
    file.write_text("\n".join([*lines, "category_in_key = true"]))
    data = load_dataset(file)
    assert len({name.split("/")[1] for name in data.validation.identity_names}) == 5
    assert {name.split("/")[3] for name in data.train.identity_names} == {
        "category 3",
        "category 7",
    }
    file.write_text("\n".join([*lines, "margin = 0.1"]))
    with pytest.raises(
        UserError, match=r"has the format deepfashion2, which has no key margin.*category_in"
    ):
        load_dataset(file)


def test_with_the_category_in_the_key_another_category_is_another_product(tmp_path: Path) -> None:
    root = write_deepfashion2(tmp_path, train_pairs=4, test_pairs=4)
    changed = next(
        file
        for file in sorted((root / "validation" / "annos").iterdir())
        if json.loads(file.read_text())["source"] == "user"
    )
    document = json.loads(changed.read_text())
    document["item1"]["category_id"] = 4
    changed.write_text(json.dumps(document))
    plain = load_dataset(root).retrieval("test")
    (tmp_path / "d.toml").write_text('path = "."\ncategory_in_key = true\n')
    strict = load_dataset(tmp_path / "d.toml").retrieval("test")
    assert len(plain.gallery) == len(strict.gallery)
    assert as_items(plain.queries.keys) - as_items(strict.queries.keys) == {
        (int(changed.stem), 4, tuple(map(float, document["item1"]["bounding_box"])))
    }


def test_images_that_are_missing_are_refused_or_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_deepfashion2(tmp_path / "data", train_pairs=4, test_pairs=4)
    (root / "train" / "image" / "000001.jpg").unlink()
    with pytest.raises(UserError, match=r"3 of \d+ images .* cannot be read: train/image/000001"):
        load_dataset(root)
    (tmp_path / "d.toml").write_text('path = "data"\non_bad_image = "skip"\n')
    load_dataset(tmp_path / "d.toml")
    told = capsys.readouterr().err
    assert re.search(r"3 of \d+ images of .* cannot be read and are skipped: train/image", told)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(source="studio"), "source: input should be 'shop' or 'user'"),
        (lambda d: d.pop("pair_id"), "pair_id: field required"),
        (lambda d: d["item1"].update(category_id=14), "items.1.category_id"),
        (lambda d: d["item1"].pop("style"), "items.1.style: field required"),
        (lambda d: d["item1"].update(bounding_box=[1, 2, 3]), "items.1.bounding_box"),
        (lambda d: d["item1"].update(bounding_box=[1, 2, "x", 4]), "items.1.bounding_box"),
    ],
)
def test_wrong_annotations_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    root = write_deepfashion2(tmp_path, train_pairs=4, test_pairs=4)
    file = root / "train" / "annos" / "000002.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    with pytest.raises(
        UserError, match=f"000002.json is not an annotation of DeepFashion2: {says}"
    ):
        load_dataset(root)


@pytest.mark.parametrize(
    "text",
    [
        '{"source": "sh',
        "[]",
        "\x00",
        "",
        "{}",
        "[" * 100_000,
        '{"source": "shop", "pair_id": 1' + "0" * 5000 + "}",
        '{"source": "shop", "pair_id": 1, "item1": {}, "item01": {}}',
    ],
)
def test_annotations_that_are_not_json_objects_are_named(tmp_path: Path, text: str) -> None:
    for portion in ("train", "validation"):
        (tmp_path / portion / "annos").mkdir(parents=True)
        (tmp_path / portion / "annos" / "000001.json").write_text(text)
    with pytest.raises(UserError, match=r"000001.json is not an annotation"):
        load_dataset(tmp_path)


def test_files_that_macos_adds_are_ignored(root: Path, data: Dataset, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "DeepFashion2")
    for portion in ("train", "validation"):
        for folder in ("annos", "image"):
            place = tmp_path / "DeepFashion2" / portion / folder
            (place / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
            for file in list(place.iterdir())[:3]:
                (place / f"._{file.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        (tmp_path / "__MACOSX" / "DeepFashion2" / portion / "annos").mkdir(parents=True)
    found = load_dataset(tmp_path / "DeepFashion2")
    for part in ("train", "validation", "test"):
        assert getattr(found, part).keys == getattr(data, part).keys


def test_annotations_without_an_item_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_deepfashion2(tmp_path, train_pairs=4, test_pairs=4)
    expected = load_dataset(root).train.keys
    for number in (900001, 900002):
        document = {"source": "user", "pair_id": number}
        (root / "train" / "annos" / f"{number}.json").write_text(json.dumps(document))
    assert load_dataset(root).train.keys == expected
    assert f"Read 2 annotations without an item in {root / 'train'}" in capsys.readouterr().err


def test_annotations_that_cannot_be_read_are_named_or_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_deepfashion2(tmp_path / "data", train_pairs=4, test_pairs=4)
    images = len(load_dataset(root).train)
    (root / "train" / "annos" / "900001.json").write_bytes(b"")
    (root / "train" / "annos" / "900002.json").write_bytes(b"\xef\xbb\xbf{")
    with pytest.raises(UserError, match=r"900001.json is not an annot.* it is empty.*on_bad_image"):
        load_dataset(root)
    (tmp_path / "d.toml").write_text('path = "data"\non_bad_image = "skip"\n')
    assert len(load_dataset(tmp_path / "d.toml").train) == images
    told = capsys.readouterr().err
    assert "Left out 2 annotations of" in told
    assert "900001.json is not an annotation of DeepFashion2: it is empty" in told
    for file in (root / "train" / "annos").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match="contains no usable annotation"):
        load_dataset(tmp_path / "d.toml")


def test_boxes_without_area_are_named_or_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_deepfashion2(tmp_path / "data", train_pairs=4, test_pairs=4)
    images = len(load_dataset(root).train)
    file = root / "train" / "annos" / "000002.json"
    document = json.loads(file.read_text())
    document["item9"] = {**document["item1"], "bounding_box": [30, 10, 30, 50]}
    document["item8"] = {**document["item1"], "bounding_box": [30, 10, 90, 50], "style": 0}
    document["item7"] = {**document["item1"], "bounding_box": [9, 9, 1, 1], "style": 0}
    file.write_text(json.dumps(document))
    with pytest.raises(
        UserError, match=r"There is 1 item of .* without area: train/.*item9.*on_ba"
    ):
        load_dataset(root)
    (tmp_path / "d.toml").write_text('path = "data"\non_bad_image = "skip"\n')
    assert len(load_dataset(tmp_path / "d.toml").train) == images
    assert re.search(r"Left out 1 item of .* without area: .*item9", capsys.readouterr().err)


def test_a_portion_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    (tmp_path / "validation" / "annos").mkdir(parents=True)
    with pytest.raises(UserError, match=r"train/annos cannot be read: No such file"):
        load_dataset(tmp_path)
    (tmp_path / "train" / "annos").mkdir(parents=True)
    with pytest.raises(UserError, match="contains no annotation file"):
        load_dataset(tmp_path)
    (tmp_path / "train" / "annos" / "one.json").write_text("{}")
    with pytest.raises(UserError, match="its name is not a number"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("box", [(1.0, 2.0, 30.5, 40.125), (0.1, 0.2, 123456.7, 1e6)])
def test_an_item_is_read_back_from_its_key(box: tuple[float, float, float, float]) -> None:
    item = Item(image_id=42, item=3, category=13, box=box)
    assert Item.of(item.key("train", "000042")) == item
    assert Item.of("photos/000042.jpg#1,2,3,4") is None
