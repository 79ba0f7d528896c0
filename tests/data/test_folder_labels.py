"""Folders whose images have no labels: flat ones and albums, told apart by a rule that is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from edgecmp.data import load_dataset
from edgecmp.data.folder import read_folder
from edgecmp.data.folder_labels import called_like_albums
from edgecmp.errors import UserError


def fill(root: Path, *files: str) -> Path:
    for number, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 20, 30)).save(root / file)
    return root


def described(folder: Path, labels: str) -> Path:
    file = folder.parent / f"{labels}.toml"
    file.write_text(f'path = "{folder.name}"\nlabels = "{labels}"\n')
    return file


@pytest.mark.parametrize(
    "name",
    [
        *("2024", "2024-05", "2024_05_17", "20240517", "2024.05.17", "2024-05 Rome", "199912"),
        *("2024-05-17-wedding", "DCIM", "100APPLE", "101CANON", "102_PANA", "dcim"),
    ],
)
def test_dates_and_camera_folders_are_albums(name: str) -> None:
    assert called_like_albums([name])


@pytest.mark.parametrize(
    "name",
    [
        *("2012 Focus", "2024-13", "20241301", "1850", "0001", "12345678", "anna", "n01440764"),
        *("2024x", "20240517b", "100", "id2024", "Rome 2024", "099APPLE", "1001APPLE"),
    ],
)
def test_other_names_are_identities(name: str) -> None:
    assert not called_like_albums(["2024", name])
    assert not called_like_albums([])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("a.png", "b.png"), "not in identity folders"),
        (("2023/a.png", "2024/b.png"), "read as albums (2023, 2024)"),
        (("2023/05/a.png", "2024/b.png"), "read as albums (2023, 2024)"),
        (("a.png", "2024-05/b.png"), "not in identity folders"),
        (("unpacked/a.png", "unpacked/b.png"), "read as albums (unpacked)"),
        (("DCIM/100APPLE/a.png", "DCIM/100APPLE/b.png"), "read as albums (100APPLE)"),
        (("train/a.png", "test/b.png"), "not in identity folders"),
        (("train/2023/a.png", "test/2024/b.png"), "not in identity folders"),
    ],
)
def test_images_without_identity_folders_are_each_their_own(
    tmp_path: Path, files: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    records = read_folder(fill(tmp_path / "photos", *files))
    assert [record.identity for record in records] == [record.key for record in records]
    assert len(records) == 2
    found = capsys.readouterr().err
    assert said in found
    assert 'set labels = "' in found
    splits = [named.split("/")[0] if named.startswith(("t", "v")) else "" for named in files]
    assert [record.split for record in records] == sorted(splits, reverse=True)[::-1]


def test_labels_can_be_stated_either_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    albums = fill(tmp_path / "photos", *(f"{y}/{n}.png" for y in range(2001, 2011) for n in "ab"))
    assert load_dataset(albums).queries_note
    people = load_dataset(described(albums, "identities"))
    assert not people.queries_note
    assert set(people.train.identity_names) < {str(year) for year in range(2001, 2011)}

    shop = fill(tmp_path / "shop", *(f"{a}/{n}.png" for a in ("anna", "test", "bob") for n in "ab"))
    with pytest.raises(UserError, match="called after splits"):
        load_dataset(shop)
    capsys.readouterr()
    assert load_dataset(described(shop, "none")).queries_note
    assert "read as albums" not in capsys.readouterr().err


def test_splits_are_kept_without_labels(tmp_path: Path) -> None:
    names = [f"{split}/x/{n}.png" for split in ("train", "val", "test") for n in range(4)]
    data = load_dataset(described(fill(tmp_path / "photos", *names), "none"))
    assert {key.split("/")[0] for key in data.train.keys} == {"train"}
    assert len(data.retrieval("validation").queries) == len(data.retrieval("test").queries) == 4


@pytest.mark.parametrize("labels", ["none", ""])
def test_queries_and_a_gallery_without_labels_are_refused(tmp_path: Path, labels: str) -> None:
    shop = fill(tmp_path / "photos", "query/a.png", "gallery/b.png")
    with pytest.raises(UserError, match=r"nothing says which of them match.*columns query and"):
        load_dataset(described(shop, labels) if labels else shop)


def test_what_is_not_clear_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    mixed = fill(tmp_path / "photos", "a.png", "anna/b.png")
    with pytest.raises(UserError, match=r'subfolder named after its identity, or set labels = "no'):
        load_dataset(mixed)
    flat = fill(tmp_path / "flat", "a.png")
    with pytest.raises(UserError, match="is not in an identity folder"):
        load_dataset(described(flat, "identities"))
    with pytest.raises(UserError, match="labels"):
        load_dataset(described(flat, "maybe"))
    (tmp_path / "m.csv").write_text("path\nflat/a.png\n")
    with pytest.raises(UserError, match=r'no column \'identity\'.*set labels = "none"'):
        load_dataset(tmp_path / "m.csv")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_list_of_images_without_labels(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path, *(f"{n}.png" for n in range(6)))
    rows = [("path,domain", *(f"{n}.png,shop" for n in range(6)))]
    text = "\n".join(rows[0])
    if suffix == ".jsonl":
        text = "\n".join(f'{{"path": "{n}.png", "identity": "same"}}' for n in range(6))
    (tmp_path / f"m{suffix}").write_text(text)
    (tmp_path / "d.toml").write_text(f'path = "m{suffix}"\nlabels = "none"\n')
    data = load_dataset(tmp_path / "d.toml")
    assert data.queries_note
    names = {
        name for split in (data.train, data.validation, data.test) for name in split.identity_names
    }
    assert names == {f"{n}.png" for n in range(6)}
    (tmp_path / "m.csv").write_text("path,split\n0.png,query\n")
    (tmp_path / "d.toml").write_text('path = "m.csv"\nlabels = "none"\n')
    with pytest.raises(UserError, match="line 2: an image without a label cannot be a query"):
        load_dataset(tmp_path / "d.toml")
