"""Shards: the same data as what was written, read by webdataset too, and damage is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import Image

from edgecmp.data import Dataset, ImageSet, load_dataset, quarter_turns, shard_writer
from edgecmp.data.rotations import ROTATIONS
from edgecmp.data.shard_archive import archive
from edgecmp.data.shard_writer import write_shards
from edgecmp.data.shards import CHECKSUM, ShardImages
from edgecmp.errors import UserError
from edgecmp.files import sha256_file
from edgecmp.preprocessing import Preprocessing
from edgecmp.storage import folder_lock

SIDE = Preprocessing(input_size=20)
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Noise of many shapes, some of it transparent, gray or smaller than what is stored."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    modes = ("RGB", "RGBA", "L", "P", "RGB")
    rows = ["path,identity,domain"]
    for identity in range(30):
        for number in range(5):
            width, height = random.integers(8, 60, 2)
            noise = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
            name = f"{identity}-{number}.png"
            Image.fromarray(noise).convert(modes[number]).save(root / name)
            rows.append(f"{name},é {identity},{'shop' if number < 2 else 'user'}")
    (root / "list.csv").write_text("\n".join(rows), encoding="utf-8")
    return load_dataset(root / "list.csv", gallery_domain="shop")


@pytest.fixture(scope="module")
def shards(photos: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "lossless"
    write_shards(photos, out, longest_side=20, lossless=True, images_per_shard=16)
    return out


def labels(images: ImageSet) -> list[tuple[str, str, str]]:
    return [
        (key, images.identity_names[identity], images.domain_names[domain])
        for key, identity, domain in zip(
            images.keys, images.identities, images.domains, strict=True
        )
    ]


def test_shards_open_as_the_data_that_was_written(photos: Dataset, shards: Path) -> None:
    again = load_dataset(shards)
    assert again.gallery_domain == "shop"
    for split in SPLITS:
        before, after = getattr(photos, split), getattr(again, split)
        assert len(after) > 0
        assert labels(after) == labels(before)
        assert np.array_equal(after.identities, before.identities)
        assert after.identities.dtype == np.int64
        assert after.domains.dtype == np.int16
        assert np.array_equal(after.pixels(SIDE), before.pixels(SIDE))
        some = np.random.default_rng(1).permutation(len(after))[:7]
        assert np.array_equal(after.pixels(SIDE, some), before.pixels(SIDE, some))
    tasks = again.retrieval(), photos.retrieval()
    assert tasks[0].queries.keys == tasks[1].queries.keys
    assert load_dataset(shards, gallery_domain="user").retrieval().gallery.keys
    with pytest.raises(UserError, match="shop, user"):
        load_dataset(shards, gallery_domain="shops")


def test_webdataset_reads_them(photos: Dataset, shards: Path) -> None:
    for split in SPLITS:
        files = sorted(str(file) for file in shards.glob(f"{split}-*.tar"))
        samples = list(webdataset.WebDataset(files, shardshuffle=False).decode("rgb8"))
        images = getattr(photos, split)
        expected = {key: (identity, domain) for key, identity, domain in labels(images)}
        assert len(samples) == len(images)
        found = {s["json"]["key"]: (s["json"]["identity"], s["json"]["domain"]) for s in samples}
        assert found == expected
        assert {s["json"]["split"] for s in samples} == {split}
        keys = images.keys
        for sample in samples[:5]:
            pixels = images.pixels(SIDE, [keys.index(sample["json"]["key"])])
            assert np.array_equal(SIDE.fit(Image.fromarray(sample["png"])), pixels[0])


def test_training_images_are_shuffled_over_the_shards(shards: Path) -> None:
    train = load_dataset(shards).train
    assert train.source.shards is not None
    shard_of = train.source.shards[train.rows]
    assert len(np.unique(shard_of)) == len(list(shards.glob("train-*.tar"))) > 3
    spread = [len(set(shard_of[train.identities == i])) for i in np.unique(train.identities)]
    assert np.mean(spread) > 2  # an identity's five images are in several shards


def test_the_same_images_give_the_same_bytes(photos: Dataset, shards: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"lossless": True, "images_per_shard": 16}
    write_shards(photos, tmp_path / "again", longest_side=20, **options)
    write_shards(photos, tmp_path / "other", longest_side=19, **options)
    files = sorted(file.name for file in shards.iterdir() if file.name != "shards.json")
    for name in files:
        assert (tmp_path / "again" / name).read_bytes() == (shards / name).read_bytes(), name
    prints = [
        load_dataset(folder).train.fingerprint
        for folder in (shards, tmp_path / "again", tmp_path / "other")
    ]
    assert prints[0] == prints[1] != prints[2]


def test_jpeg_shards_are_close_and_keep_sizes(photos: Dataset, tmp_path: Path) -> None:
    report = write_shards(photos, tmp_path / "jpeg")
    assert [row["images"] for row in report.rows] == [len(getattr(photos, s)) for s in SPLITS]
    assert [row["shards"] for row in report.rows] == [1, 1, 1]
    again = load_dataset(tmp_path / "jpeg").train
    for place in range(10):
        row = int(photos.train.rows[place])
        assert again.source.image(int(again.rows[place])).size == (
            photos.train.source.image(row).size
        )
    difference = again.pixels(SIDE).astype(int) - photos.train.pixels(SIDE)
    assert 0 < np.abs(difference).mean() < 4  # of noise, the hardest there is


def test_rotated_images_are_in_the_shards_of_the_upright_ones(shards: Path) -> None:
    upright = load_dataset(shards).train
    rotated = quarter_turns(upright)
    assert rotated.source.shards is not None
    assert upright.source.shards is not None
    assert len(rotated.source.shards) == ROTATIONS * len(upright.source.shards)
    for place in range(0, len(rotated), 17):
        expected = upright.source.shards[upright.rows[place % len(upright)]]
        assert rotated.source.shards[rotated.rows[place]] == expected


def test_nothing_is_written_over_or_left_behind(photos: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        write_shards(photos, out)
    broken = load_dataset(_folder(tmp_path / "folder"))
    name = tmp_path / "folder" / broken.train.keys[0]
    content = name.read_bytes()
    name.write_bytes(b"")
    with pytest.raises(UserError, match="can no longer be read"):
        write_shards(broken, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "out"]
    name.write_bytes(content)


def test_an_interrupted_run_resumes_with_its_finished_shards(
    photos: Dataset, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the fourth shard; one finished shard is then damaged and made again."""
    options: dict[str, Any] = {"longest_side": 20, "lossless": True, "images_per_shard": 16}
    made: list[str] = []
    most = 3

    def counted(split: str, *given: Any) -> bytes:
        if len(made) == most:
            raise KeyboardInterrupt
        made.append(split)
        return archive(split, *given)

    monkeypatch.setattr(shard_writer, "archive", counted)
    with pytest.raises(KeyboardInterrupt):
        write_shards(photos, tmp_path / "out", **options)
    unfinished = tmp_path / ".out.unfinished"
    assert sorted(path.name for path in tmp_path.iterdir()) == [unfinished.name]
    with pytest.raises(UserError, match=r"for .*/out \(longest side was 20, now 19\)"):
        write_shards(photos, tmp_path / "out", **options | {"longest_side": 19})
    damaged = unfinished / "pieces" / "train-00001.tar"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    del made[:]
    most = 1000
    write_shards(photos, tmp_path / "out", **options)
    assert len(made) == len(list(shards.glob("*.tar"))) - 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    for file in shards.iterdir():
        if file.name != "shards.json":  # which has the command line
            assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes(), file.name


def test_two_runs_do_not_write_one_folder(photos: Dataset, tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path / ".out.unfinished", "test"),
        pytest.raises(UserError, match=r"Another process .* is writing to .*/out\."),
    ):
        write_shards(photos, tmp_path / "out")


def _folder(root: Path) -> Path:
    for identity in range(8):
        for number in range(2):
            path = root / f"id{identity}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 9), (30 * identity, 90 * number, 0)).save(path)
    return root


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-512])


def edit(**changes: Any) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        document = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in (document | changes).items() if v != "gone"}))

    return apply


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("train-00000.tar", cut, r"train-00000.tar is damaged: it has \d+ bytes instead of"),
        ("train-00001.tar", Path.unlink, "train-00001.tar is damaged: the file does not exist"),
        ("rows.npz", cut, "rows.npz is damaged: its SHA-256 is not the one in shards.json"),
        ("rows.npz", Path.unlink, "rows.npz is damaged: .*No such file"),
        ("shards.json", cut, "shards.json is not an index of shards: it is truncated"),
        ("shards.json", edit(version=3), "has version 3, but this edgecmp reads 1 and 2"),
        (
            "shards.json",
            edit(gallery_domain="x"),
            "is damaged: it was changed after it was written",
        ),
        ("shards.json", edit(domain_names="gone"), "is damaged: domain_names: field required"),
        ("shards.json", edit(shards=[{"file": "a"}]), "is damaged: shards.0.split"),
    ],
)
def test_damage_is_named_when_they_are_opened(
    shards: Path, tmp_path: Path, name: str, damage: Callable[[Path], None], says: str
) -> None:
    copy = shutil.copytree(shards, tmp_path / "copy")
    damage(copy / name)
    with pytest.raises(UserError, match=says):
        load_dataset(copy)


def test_one_changed_byte_of_an_image_is_named_when_it_is_read(
    shards: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(shards, tmp_path / "copy")
    path = copy / "test-00000.tar"
    content = bytearray(path.read_bytes())
    data = load_dataset(copy)
    source = data.test.source
    assert isinstance(source, ShardImages)
    row = int(data.test.rows[0])
    with np.load(copy / "rows.npz") as rows:
        place, size = int(rows["offset"][row]), int(rows["size"][row])
    content[place + size // 2] ^= 1  # decodes, to other pixels
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"test-00000\.tar is damaged: the image at byte \d+ was"):
        source.image(row)


def test_shards_of_version_1_are_read(shards: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shards, tmp_path / "copy")
    expected = load_dataset(copy).test.pixels(Preprocessing(input_size=16))
    with np.load(copy / "rows.npz") as file:
        arrays = {name: file[name] for name in file.files if name != CHECKSUM}
    np.savez(copy / "rows.npz", **arrays)
    changes = {"version": 1, "content_sha256": "gone"}
    edit(**changes, rows_sha256=sha256_file(copy / "rows.npz"))(copy / "shards.json")
    assert np.array_equal(load_dataset(copy).test.pixels(Preprocessing(input_size=16)), expected)


def test_damage_inside_a_shard_is_named_when_it_is_read(shards: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shards, tmp_path / "copy")
    data = load_dataset(copy)
    path = copy / "test-00000.tar"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(UserError, match=r"test-00000.tar is damaged: the image at byte \d+ was"):
        data.test.pixels(SIDE)
    path.unlink()
    with pytest.raises(UserError, match=r"test-00000.tar cannot be read: No such file"):
        data.test.pixels(SIDE)


def test_the_command_writes_them(tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    source, out, report = _folder(tmp_path / "in"), tmp_path / "out", tmp_path / "r.json"
    done = edgecmp("data", "shard", "--data", source, "--out", out, "--size", 8, "--json", report)
    assert done.code == 0, done.err
    assert f"Wrote the shards: {out}" in done.out
    document = json.loads(report.read_text())
    assert sum(row["images"] for row in document["rows"]) == 16
    assert document["fingerprint"] == json.loads((out / "shards.json").read_text())["fingerprint"]
    assert load_dataset(out).test.source.image(0).size == (8, 8)
    assert edgecmp("data", "shard", "--data", source, "--out", out).code == 2
    assert edgecmp("data", "shard", "--out", tmp_path / "new", "--size", 0).code == 2
    (tmp_path / "s.toml").write_text('path = "out"\non_bad_image = "skip"\n')
    with pytest.raises(UserError, match="has the format shards, which has no key on_bad_image"):
        load_dataset(tmp_path / "s.toml")


def test_inspect_describes_them_and_detects_a_changed_byte(
    photos: Dataset, shards: Path, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    told = edgecmp("inspect", shards)
    assert told.code == 0, told.err
    assert "images in shards" in told.out
    assert (
        f"{len(photos.train)} images of {len(photos.train.identity_names)} identities"
        in " ".join(told.out.split())
    )
    copy = shutil.copytree(shards, tmp_path / "copy")
    shard = next(copy.glob("train-*.tar"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    told = edgecmp("inspect", copy, "--json", tmp_path / "i.json")
    assert told.code == 1
    (check,) = json.loads((tmp_path / "i.json").read_text())["artefacts"][0]["checks"]
    assert "its SHA-256 is not the one in shards.json" in check["detail"]
