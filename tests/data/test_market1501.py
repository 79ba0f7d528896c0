"""Market-1501's layout: roles, cameras, junk, and the rule of its evaluation."""

from __future__ import annotations

import itertools
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecmp import kit
from edgecmp.data import Dataset, load_dataset, quarter_turns
from edgecmp.data.shard_writer import write_shards
from edgecmp.errors import UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.evaluation.retrieval import evaluate_retrieval, protocol
from edgecmp.gallery.open import open_query
from edgecmp.networks.embed import embed_set

MARKET = ("bounding_box_train", "query", "bounding_box_test")
VERI = ("image_train", "image_query", "image_test")


def photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (16, 8, 3), np.uint8)
    Image.fromarray(noise).resize((24, 48)).save(path, quality=90)


def market(
    root: Path, folders: tuple[str, str, str] = MARKET, pattern: str = "{:04d}_c{}s1_{:06d}_00.jpg"
) -> Path:
    """A small Market-1501: 20 people for training, 6 for the test, cameras 1 to 3."""
    train, query, gallery = folders
    frame = itertools.count(1)
    for person, camera, _ in itertools.product(range(1, 21), (1, 2, 3), range(2)):
        number = next(frame)
        photo(root / train / pattern.format(2 * person, camera, number), number)
    for person, camera in itertools.product(range(6), (1, 2, 3)):
        number = next(frame)
        photo(root / query / pattern.format(2 * person + 1, camera, number), number)
        for _ in range(2):
            number = next(frame)
            photo(root / gallery / pattern.format(2 * person + 1, camera, number), number)
    for number in range(5):
        photo(root / gallery / pattern.format(0, 1, 9000 + number), 9000 + number)
        photo(root / gallery / f"-1_c{number % 3 + 1}s1_{number:06d}_00.jpg", 8000 + number)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = market(tmp_path_factory.mktemp("market"))
    photo(root / "gt_bbox" / "0001_c1s1_000151_00.jpg", 1)
    photo(root / "gt_query" / "0001_c1s1_000151_00.jpg", 1)
    (root / "readme.txt").write_text("Market-1501")
    (root / "query" / "Thumbs.db").write_bytes(b"x")
    return root


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
    return load_dataset(folder)


def labels(key: str) -> tuple[str, str]:
    """Identity and camera of an image by its name, without the reader's help."""
    person, rest = key.split("/")[-1].split("_", 1)
    return person, rest.split("s")[0].lstrip("c0")


def test_roles_and_cameras_are_those_of_the_folders(data: Dataset) -> None:
    task = data.retrieval("test")
    assert len(task.queries) == 18
    assert len(task.gallery) == 41
    assert {key.split("/")[0] for key in task.queries.keys} == {"query"}
    assert {key.split("/")[0] for key in task.gallery.keys} == {"bounding_box_test"}
    assert task.cameras is not None
    for images, cameras in zip((task.queries, task.gallery), task.cameras, strict=True):
        for key, identity, camera in zip(images.keys, images.identities, cameras, strict=True):
            assert labels(key) == (images.identity_names[identity], str(camera + 1))
    assert "0000" in {task.gallery.identity_names[one] for one in task.gallery.identities}
    assert task.describe() == (
        "18 queries of 6 identities, 41 gallery images of 7; with so few queries, 50 % means 29 to "
        "71 % (95 % interval); matches from the query's own camera are ignored"
    )


def test_junk_is_left_out_and_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_dataset(folder)
    assert not any("-1" in images.identity_names for images in (data.train, data.test))
    said = capsys.readouterr().err
    assert f"Left out 5 junk images of {folder / 'bounding_box_test'}" in said
    assert "readme" not in said


def test_the_hold_out_poses_the_same_task(data: Dataset) -> None:
    task = data.retrieval("validation")
    groups = defaultdict(list)
    for key in (*task.queries.keys, *task.gallery.keys):
        groups[labels(key)].append(key)
    assert sorted(task.queries.keys) == sorted(min(keys) for keys in groups.values())
    assert len(task.gallery) == len(task.queries) == 18
    assert task.cameras is not None
    assert len(data.train.identity_names) == 14


def test_evaluation_equals_an_independent_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluate_retrieval(kit.path("query"), gallery=kit.path("gallery"), data=str(folder))
    assert "18 queries of 6 identities, 41 gallery images of 7" in capsys.readouterr().err
    task = load_dataset(folder).retrieval("test")
    model = open_query(kit.path("query"))
    queries, gallery = embed_set(model, task.queries), embed_set(model, task.gallery)
    truth = dict.fromkeys((1, 5, 10, 20), 0)
    for key, query in zip(task.queries.keys, queries, strict=True):
        counted = [
            labels(other)[0] == labels(key)[0]
            for other in np.array(task.gallery.keys)[np.argsort(-(gallery @ query), kind="stable")]
            if labels(other) != labels(key)
        ]
        for k in truth:
            truth[k] += any(counted[:k])
    row = next(row for row in report.rows if row["protocol"] == "qq")
    assert {k: row[f"top{k}"] for k in truth} == {
        k: round(100 * count / 18, 2) for k, count in truth.items()
    }
    without = protocol("qq", queries, task.queries.identities, gallery, task.gallery.identities)
    assert without != row


def test_queries_without_a_match_from_another_camera_are_left_out(
    tmp_path: Path, folder: Path
) -> None:
    copy = tmp_path / "market"
    shutil.copytree(folder, copy)
    for path in (copy / "bounding_box_test").glob("0001_c[23]*"):
        path.unlink()
    task = load_dataset(copy).retrieval("test")
    kept = {labels(key) for key in task.queries.keys}
    assert ("0001", "1") not in kept
    assert {("0001", "2"), ("0001", "3")} <= kept
    assert task.left_out == 1
    assert "left out 1 image without a match in the gallery" in task.describe()


@pytest.mark.parametrize(
    ("folders", "pattern"),
    [(VERI, "{:04d}_c{:03d}_{:08d}_0.jpg"), (MARKET, "{:04d}_c{}_f{:07d}.jpg")],
)
def test_other_data_in_the_layout_is_read(
    tmp_path: Path, folders: tuple[str, str, str], pattern: str
) -> None:
    task = load_dataset(market(tmp_path, folders, pattern)).retrieval("test")
    assert (len(task.queries), len(task.gallery)) == (18, 41)
    assert task.cameras is not None
    assert set(task.cameras[0].tolist()) == {0, 1, 2}


@pytest.mark.parametrize("missing", MARKET)
def test_a_missing_folder_is_named(tmp_path: Path, folder: Path, missing: str) -> None:
    copy = tmp_path / "market"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / missing)
    with pytest.raises(UserError, match=f"layout of Market-1501, but {missing} contains no images"):
        load_dataset(copy)


def test_another_name_and_another_key_are_refused(tmp_path: Path, folder: Path) -> None:
    copy = tmp_path / "market"
    shutil.copytree(folder, copy)
    described = tmp_path / "market.toml"
    described.write_text('path = "market"\ntest_share = 0.2\n')
    with pytest.raises(UserError, match="the format market1501, which has no key test_share"):
        load_dataset(described)
    photo(copy / "query" / "holiday.jpg", 3)
    with pytest.raises(UserError, match=r"holiday\.jpg is not called like an image of Market-1501"):
        load_dataset(copy)


def test_a_manifest_with_cameras_poses_the_same_task(folder: Path, data: Dataset) -> None:
    task = data.retrieval("test")
    rows = ["path,identity,camera,split,domain"]
    for domain, images in (("query", task.queries), ("gallery", task.gallery)):
        rows += [f"{key},{','.join(labels(key))},test,{domain}" for key in images.keys]
    (folder / "m.csv").write_text("\n".join(rows))
    again = load_dataset(folder / "m.csv").retrieval("test")
    assert again.queries.keys == tuple(sorted(task.queries.keys))
    assert again.cameras is not None
    assert sorted(again.cameras[1]) == sorted(task.cameras[1])  # type: ignore[index]


def test_shards_keep_the_cameras(tmp_path: Path, data: Dataset) -> None:
    write_shards(data, tmp_path / "shards")
    task, again = data.retrieval("test"), load_dataset(tmp_path / "shards").retrieval("test")
    assert task.cameras is not None
    assert again.cameras is not None
    for cameras, kept in zip(task.cameras, again.cameras, strict=True):
        assert cameras.tolist() == kept.tolist()
    assert again.describe() == task.describe()


def test_the_hold_out_of_searches_ignores_the_own_camera(data: Dataset) -> None:
    gallery = kit.path("gallery")
    preprocessing = open_query(kit.path("query")).preprocessing
    hold_out = HoldOut(data, gallery, preprocessing, calibration_images=4)
    task = data.retrieval("validation")
    vectors = np.random.default_rng(0).normal(size=(len(hold_out.images), 128)).astype(np.float32)
    queries, found = np.split(vectors, [len(task.queries)])
    hits = 0
    for key, query in zip(task.queries.keys, queries, strict=True):
        others = [
            place
            for place in np.argsort(-(found @ query))
            if labels(task.gallery.keys[place]) != labels(key)
        ]
        hits += labels(task.gallery.keys[others[0]])[0] == labels(key)[0]
    hold_out.gallery_embeddings = found
    assert hold_out.score(vectors)["qq_top1"] == hits / len(queries)
    assert hold_out.score(vectors)["qg_top1"] == hits / len(queries)


def test_cameras_are_part_of_the_fingerprint_and_follow_the_images(data: Dataset) -> None:
    images = data.test
    assert images.cameras is not None
    chosen = images.subset([3, 1])
    assert chosen.cameras is not None
    assert chosen.cameras.tolist() == [images.cameras[3], images.cameras[1]]
    turned = quarter_turns(images).cameras
    assert turned is not None
    assert turned.tolist() == images.cameras.tolist() * 4
    images.cameras[0] += 1
    changed = images.fingerprint
    images.cameras[0] -= 1
    assert changed != images.fingerprint
