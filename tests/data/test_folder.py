"""Folders as users have them: splits by other names, wrappers, archives' and systems' files."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgecmp.data import Dataset, load_dataset
from edgecmp.data.folder import read_folder
from edgecmp.data.split import named_part
from edgecmp.errors import UserError
from edgecmp.wording import clean_name, counted, named

PICTURE = Image.new("RGB", (8, 8), (90, 20, 30))


def fill(root: Path, files: Sequence[str]) -> Path:
    """Writes an image, or bytes that are none, to each of the files below the root."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".jpg", ".png", ".jfif"):
            PICTURE.save(path, "PNG" if path.suffix == ".png" else "JPEG")
        else:
            path.write_bytes(b"no image")
    return root


def ids(split: str, *identities: str, images: int = 2) -> list[str]:
    return [f"{split}/{one}/{number}.jpg" for one in identities for number in range(images)]


def parts(data: Dataset) -> dict[str, set[str]]:
    return {
        split: set(getattr(data, split).identity_names) for split in ("train", "validation", "test")
    }


PEOPLE = {"train": {"a", "b"}, "validation": {"c", "d"}, "test": {"e", "f"}}


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Train", "VALID", "Test"),
        ("training", "validation", "testing"),
        ("TRAINING", "dev", "TEST"),
    ],
)
def test_folders_of_splits_may_have_any_usual_name(
    tmp_path: Path, train: str, validation: str, test: str
) -> None:
    fill(tmp_path, [*ids(train, "a", "b"), *ids(validation, "c", "d"), *ids(test, "e", "f")])
    assert parts(load_dataset(tmp_path)) == PEOPLE


def test_a_split_inside_a_folder_of_its_name_is_found(tmp_path: Path) -> None:
    fill(tmp_path, [*ids("train/train", "a", "b", "c", "d"), *ids("test", "e", "f")])
    found = parts(load_dataset(tmp_path))
    assert found["train"] | found["validation"] == {"a", "b", "c", "d"}
    assert found["test"] == {"e", "f"}


@pytest.mark.parametrize("inside", ["test/", ""])
def test_query_and_gallery_folders_become_the_domains(tmp_path: Path, inside: str) -> None:
    fill(tmp_path, ids("train", *"abcdefgh"))
    fill(tmp_path, [*ids(f"{inside}query", "x", "y"), *ids(f"{inside}Gallery", "x", "y", "z")])
    task = load_dataset(tmp_path).retrieval("test")
    assert {key.split("/")[-3] for key in task.queries.keys} == {"query"}
    assert {key.split("/")[-3] for key in task.gallery.keys} == {"Gallery"}
    assert (len(task.queries), len(task.gallery)) == (4, 6)
    assert task.describe() == (
        "4 queries of 2 identities, 6 gallery images of 3; with so few queries, 50 % means 15 to "
        "85 % (95 % interval)"
    )


def test_files_of_operating_systems_are_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, [*ids("train", "a", "b"), *ids("val", "c", "d"), *ids("test", "e", "f")])
    fill(
        tmp_path,
        [
            "__MACOSX/train/a/._0.jpg",
            "@eaDir/train/a/0.jpg",
            "train/@eaDir/0.jpg/SYNOPHOTO_THUMB_M.jpg",
            "train/a/._0.jpg",
            "train/a/Thumbs.db",
            ".DS_Store",
            "#recycle/x/0.jpg",
            "lost+found/x/0.jpg",
            "System Volume Information/x.jpg",
        ],
    )
    data = load_dataset(tmp_path)
    assert parts(data) == PEOPLE
    assert len(data.train) == 4
    assert "Left out" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "named_in_message"),
    [
        (
            [*ids("train", "a"), *ids("extra", "b"), *ids("test", "c")],
            ["2 folders called after splits", "test, train", "1 other folder", "extra"],
        ),
        ([*ids(".", "anna", "bob", "query")], ["1 folder called after splits", "query"]),
        (
            [*ids("train", "a"), *ids("test/query", "c"), *ids("test/gt_bbox", "c")],
            ["test has 1 folder called after splits", "gt_bbox"],
        ),
        ([*ids("train/test", "a"), *ids("train/val", "b")], ["train", "the folder of a split"]),
        ([*ids("anna", "train", "test"), *ids("bob", "train")], ["anna/test", "test/anna"]),
        (["train/0.jpg", *ids("test", "a")], ["0.jpg is not in an identity folder"]),
    ],
)
def test_splits_that_are_mixed_with_identities_are_refused_by_name(
    tmp_path: Path, files: list[str], named_in_message: list[str]
) -> None:
    fill(tmp_path, files)
    with pytest.raises(UserError) as refused:
        load_dataset(tmp_path)
    for part in named_in_message:
        assert part in str(refused.value)


@pytest.mark.parametrize("wrapper", ["photos", "a/b/c"])
def test_a_folder_that_alone_contains_everything_is_entered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrapper: str
) -> None:
    fill(tmp_path / "plain", ids(".", *"abcdefgh"))
    fill(tmp_path / "wrapped" / wrapper, ids(".", *"abcdefgh"))
    fill(tmp_path / "wrapped", ["readme.txt", "__MACOSX/photos/._a"])
    plain, wrapped = load_dataset(tmp_path / "plain"), load_dataset(tmp_path / "wrapped")
    assert parts(plain) == parts(wrapped)
    assert plain.test.keys == wrapped.test.keys
    assert f"contains only {wrapper}, which is read instead" in capsys.readouterr().err


def test_a_folder_inside_each_split_that_alone_contains_everything_is_entered(
    tmp_path: Path,
) -> None:
    fill(tmp_path, ids("train/images", "a", "b"))
    fill(tmp_path, [*ids("val", "c", "d"), *ids("test/images/query/crops", "e", "f")])
    fill(tmp_path, ids("test/images/gallery", "e", "f"))
    data = load_dataset(tmp_path)
    assert parts(data) == PEOPLE
    assert len(data.retrieval("test").queries) == 4


def test_an_empty_folder_of_a_split_is_named(tmp_path: Path) -> None:
    fill(tmp_path, [*ids("train", "a", "b", "c", "d"), "val/readme.txt", *ids("test", "e", "f")])
    with pytest.raises(UserError, match="val, the folder of a split, contains no identity folders"):
        load_dataset(tmp_path)


def test_a_wrapper_around_another_format_is_entered_too(tmp_path: Path) -> None:
    names = [f"{person:04d}_c{camera}s1_000001_00.jpg" for person in (1, 2) for camera in (1, 2)]
    fill(tmp_path / "w" / "Market", [f"bounding_box_train/{name}" for name in names])
    fill(tmp_path / "w" / "Market", [f"query/{name.replace('000', '001', 1)}" for name in names])
    fill(
        tmp_path / "w" / "Market",
        [f"bounding_box_test/{name.replace('000', '001', 1)}" for name in names],
    )
    assert load_dataset(tmp_path / "w").test.cameras is not None


def test_one_identity_with_folders_inside_is_no_wrapper(tmp_path: Path) -> None:
    fill(tmp_path, ["anna/1.jpg", "anna/holiday/2.jpg"])
    assert {record.identity for record in read_folder(tmp_path)} == {"anna"}


def test_what_is_left_out_is_counted_by_ending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, ids(".", *"abcd"))
    fill(tmp_path, [f"a/{number}.mp4" for number in range(7)] + ["b/x.TXT", "b/LICENSE"])
    load_dataset(tmp_path)
    said = capsys.readouterr().err
    assert f"Left out 9 files of {tmp_path} that are not images: 7 .mp4, 1 " in said
    assert "1 .txt" in said
    assert "1 without ending" in said


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        (["photos.csv"], " If it lists or describes the images, name it in place of the folder: "),
        (["photos.csv", "photos.toml"], " If one lists or describes the images, name it in "),
        (["a/photos.csv", "notes.txt"], None),
    ],
)
def test_a_table_beside_the_images_is_named(
    files: list[str], hint: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, ids(".", *"abcd"))
    fill(tmp_path, files)
    load_dataset(tmp_path)
    said = capsys.readouterr().err
    assert hint in said if hint else "in place of" not in said


def test_other_endings_of_photos_are_read(tmp_path: Path) -> None:
    fill(tmp_path, ["a/1.jfif", "a/2.JPG", "b/1.jpg"])
    assert len(read_folder(tmp_path)) == 3


def test_a_folder_without_images_says_what_it_contains(tmp_path: Path) -> None:
    fill(tmp_path, ["a/1.mp4", "b/2.mp4"])
    with pytest.raises(UserError, match=r"contains no images, but 2 \.mp4"):
        load_dataset(tmp_path)


def test_heic_files_are_never_left_out_silently(tmp_path: Path) -> None:
    fill(tmp_path, [*ids(".", "a", "b"), "a/phone.HEIC"])
    with pytest.raises(UserError, match=r"1 of 5 images .* cannot be read: a/phone\.HEIC"):
        load_dataset(tmp_path)


def test_loops_of_links_end_and_links_to_images_are_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fill(tmp_path / "photos", ids(".", *"abcd"))
    outside = fill(tmp_path / "elsewhere", ["e/1.jpg", "e/2.jpg", "single.jpg"])
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "b2").symlink_to(root / "b")
    (root / "e").symlink_to(outside / "e")
    (outside / "e" / "back").symlink_to(outside)
    (root / "a" / "linked.jpg").symlink_to(outside / "single.jpg")
    records = read_folder(root)
    assert {record.identity for record in records} == {*"abcde"}
    keys = {record.key for record in records}
    assert {"a/linked.jpg", "e/1.jpg", "e/2.jpg"} <= keys
    assert len(keys) == 11
    said = capsys.readouterr().err
    assert "Left out 4 links to folders that are read elsewhere" in said
    assert "b2" in said


def test_two_outside_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    one = fill(tmp_path / "one", ["1.jpg"])
    two = fill(tmp_path / "two", ["2.jpg"])
    (one / "two").symlink_to(two)
    (two / "one").symlink_to(one)
    root = fill(tmp_path / "photos", ids(".", "a", "b"))
    (root / "c").symlink_to(one)
    assert sum(record.identity == "c" for record in read_folder(root)) == 2


def test_a_broken_link_to_an_image_is_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    root = fill(tmp_path, ids(".", "a", "b"))
    (root / "a" / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    with pytest.raises(UserError, match=r"a/gone\.jpg \(no such file\)"):
        load_dataset(root)


def test_a_pipe_that_is_called_like_an_image_is_not_waited_for(tmp_path: Path) -> None:
    root = fill(tmp_path, ids(".", "a", "b"))
    os.mkfifo(root / "a" / "pipe.jpg")
    with pytest.raises(UserError, match=r"a/pipe\.jpg"):
        load_dataset(root)


def test_accents_in_both_forms_are_one_identity(tmp_path: Path) -> None:
    composed, decomposed = "Ren\u00e9e", unicodedata.normalize("NFD", "Ren\u00e9e")
    fill(tmp_path, [f"{composed}/1.jpg", f"{decomposed}/1.jpg", f"{decomposed}/2.jpg", "b/1.jpg"])
    records = read_folder(tmp_path)
    assert {record.identity for record in records} == {composed, "b"}
    files = list(tmp_path.rglob("*.jpg"))
    assert len({record.key for record in records}) == len(records) == len(files)


def test_the_same_name_in_two_splits_is_refused_in_either_form(tmp_path: Path) -> None:
    fill(tmp_path, ids("train", "Ren\u00e9e", "a", "b"))
    fill(tmp_path, ids("test", unicodedata.normalize("NFD", "Ren\u00e9e"), "c"))
    with pytest.raises(UserError, match="is in two splits"):
        load_dataset(tmp_path)


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="macOS refuses names that are not UTF-8")
def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    fill(tmp_path, ids(".", *"abc"))
    fill(tmp_path, [os.fsdecode(b"d\xe9/1.jpg"), os.fsdecode(b"d\xe9/2.jpg")])
    data = load_dataset(tmp_path)
    assert "d\\xe9" in set.union(*parts(data).values())
    assert len(data.train.fingerprint) == 64


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "y" * 300 + ".csv", "z" * 300 + ".toml"])
def test_names_that_no_file_can_have_are_one_sentence(name: str) -> None:
    with pytest.raises(UserError):
        load_dataset(name)


def test_a_device_is_no_data() -> None:
    with pytest.raises(UserError, match=r"/dev/zero is neither a folder nor a \.csv"):
        load_dataset("/dev/zero")


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "image", "1 image"),
        (1200, "image", "1,200 images"),
        (3, "identity", "3 identities"),
        (0, "box", "0 boxes"),
    ],
)
def test_counts_agree_with_their_noun(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
    assert named(["a", "b", "c"], 2) == "a, b and 1 more"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_clean_names_do_not_change_again_and_ignore_the_form(name: str) -> None:
    clean = clean_name(name)
    assert clean_name(clean) == clean
    assert clean_name(unicodedata.normalize("NFD", name)) == clean
    assert named_part(clean.upper()) == named_part(clean.lower())
