"""The user's images: folders and manifests become datasets, and errors are named."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecmp.data import DATASETS, Dataset, load_dataset
from edgecmp.data.image_files import FileImages, ImageRecord, check_files
from edgecmp.data.split import split_identities
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing

SMALL = Preprocessing(input_size=8)


def write_image(path: Path, colour: tuple[int, int, int] = (10, 20, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12), colour).save(path)
    return path


def fill_folder(root: Path, identities: int = 10, images: int = 3) -> Path:
    for identity in range(identities):
        for image in range(images):
            write_image(root / f"id{identity}" / f"{image}.png", (identity * 20, image * 50, 7))
    return root


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


def names(data: Dataset) -> dict[str, set[str]]:
    return {
        split: set(getattr(data, split).identity_names) for split in ("train", "validation", "test")
    }


def test_folder_is_split_by_identity_names(tmp_path: Path) -> None:
    data = load_dataset(fill_folder(tmp_path / "shop"))
    parts = names(data)
    expected = split_identities(f"id{number}" for number in range(10))
    assert {name: split for split, part in parts.items() for name in part} == expected
    assert [len(parts[split]) for split in ("train", "validation", "test")] == [4, 2, 4]
    assert set(data.train.identities) == set(range(4))
    for images in (data.train, data.validation, data.test):
        pixels = images.pixels(SMALL)
        for key, identity, image in zip(images.keys, images.identities, pixels, strict=True):
            folder, file = key.split("/")
            assert folder == images.identity_names[identity]
            assert image[0, 0].tolist() == [int(folder[2:]) * 20, int(file[0]) * 50, 7]


def test_without_domains_the_first_image_is_the_gallery(tmp_path: Path) -> None:
    task = load_dataset(fill_folder(tmp_path)).retrieval("test")
    assert {key.split("/")[1] for key in task.gallery.keys} == {"0.png"}
    assert len(task.gallery) == 4
    assert len(task.queries) == 8


def test_folders_named_after_splits_are_the_split(tmp_path: Path) -> None:
    for split, identity in (("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")):
        write_image(tmp_path / split / identity / "1.png")
        write_image(tmp_path / split / identity / "deeper" / "2.png")
    data = load_dataset(tmp_path)
    assert names(data) == {"train": {"a", "b"}, "validation": {"c"}, "test": {"d"}}
    assert data.test.keys == ("test/d/1.png", "test/d/deeper/2.png")


def test_a_missing_validation_split_is_taken_from_training(tmp_path: Path) -> None:
    fill_folder(tmp_path / "train", identities=20, images=11)
    write_image(tmp_path / "test" / "other" / "1.png")
    data = load_dataset(tmp_path)
    assert len(data.train.identity_names) == 18
    assert len(data.validation.identity_names) == 2
    assert names(data)["test"] == {"other"}


def test_an_identity_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "train" / "anna" / "1.png")
    write_image(tmp_path / "test" / "anna" / "1.png")
    with pytest.raises(UserError, match="'anna' is in two splits"):
        load_dataset(tmp_path)


def test_other_files_are_ignored(tmp_path: Path) -> None:
    fill_folder(tmp_path, identities=4)
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "id0" / "Thumbs.db").write_bytes(b"no image")
    (tmp_path / "id0" / ".hidden.png").write_bytes(b"no image")
    (tmp_path / ".git").mkdir()
    assert sum(len(part) for part in names(load_dataset(tmp_path)).values()) == 4


@pytest.mark.parametrize("write", [write_csv, write_jsonl])
def test_manifest_with_domains_and_boxes(tmp_path: Path, write: object) -> None:
    photo = Image.new("RGB", (40, 20), (0, 0, 200))
    photo.paste((200, 0, 0), (0, 0, 10, 10))
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos" / "p.png")
    corners = ("x1", "y1", "x2", "y2")
    rows: list[dict[str, object]] = [
        {"path": "photos/p.png", "identity": 7, "domain": domain}
        | dict(zip(corners, box, strict=True))
        for domain, box in (("shop", (0, 0, 10, 10)), ("user", (20, 0, 99, 20)))
    ]
    absolute = str(tmp_path / "photos" / "p.png")
    other_box = dict(zip(corners, (0, 10, 10, 20), strict=True))
    rows.append({"path": "photos/p.png", "identity": 9, "domain": "shop"} | other_box)
    rows.append({"path": absolute, "identity": 8, "domain": "user"} | dict.fromkeys(corners, ""))
    rows = [row | {"split": "test", "note": "ignored"} for row in rows]
    suffix = ".csv" if write is write_csv else ".jsonl"
    path = write(tmp_path / f"m{suffix}", rows)  # type: ignore[operator]
    data = load_dataset(str(path), gallery_domain="shop")
    task = data.retrieval("test")
    assert task.gallery.keys == ("photos/p.png#0,0,10,10", "photos/p.png#0,10,10,20")
    assert task.queries.keys == ("photos/p.png#20,0,99,20",)  # 8 has no shop image
    assert (task.gallery.pixels(SMALL, [0]) == (200, 0, 0)).all()
    assert (task.queries.pixels(SMALL) == (0, 0, 200)).all()
    assert data.test.identity_names == ("7", "8", "9")
    with pytest.raises(UserError, match="shop, user"):
        load_dataset(path, gallery_domain="shops")


def test_jsonl_box_may_be_one_field(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    row = {"path": "a.png", "identity": "a", "box": [0, 0, 5.5, 6]}
    data = load_dataset(write_jsonl(tmp_path / "m.jsonl", [row | {"split": "train"}]))
    assert data.train.keys == ("a.png#0,0,5.5,6",)


def test_box_counts_in_the_upright_image(tmp_path: Path) -> None:
    stored = Image.new("RGB", (20, 10), "blue")
    stored.paste("red", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90 degrees clockwise: the red half is at the top
    stored.save(tmp_path / "rotated.png", exif=exif)
    record = ImageRecord(path=tmp_path / "rotated.png", key="k", identity="i", box=(0, 0, 10, 10))
    pixels = FileImages([record], ["digest"]).pixels(np.array([0]), SMALL)
    assert (pixels == (255, 0, 0)).all()


def test_a_gallery_domain_is_found_by_its_name(tmp_path: Path) -> None:
    rows = []
    for identity in "abcdefghij":
        for domain in ("gallery", "phone"):
            write_image(tmp_path / f"{identity}-{domain}.png")
            rows.append(
                {"path": f"{identity}-{domain}.png", "identity": identity, "domain": domain}
            )
    task = load_dataset(write_csv(tmp_path / "m.csv", rows)).retrieval("test")
    assert {key.split("-")[1] for key in task.gallery.keys} == {"gallery.png"}


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) * 2 // 3])
    elif kind == "text":
        path.write_text("not an image")
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif"])
def test_truncated_files_of_every_format_are_noticed(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(path)
    record = ImageRecord(path=path, key="a", identity="a")
    assert check_files([record])[1] == {}
    damage(path, "truncated")
    assert list(check_files([record])[1]) == [0]


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "gone"])
def test_bad_images_are_refused_or_skipped_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    fill_folder(tmp_path / "images")
    rows = [
        {"path": f"images/id{identity}/{image}.png", "identity": f"id{identity}"}
        for identity in range(10)
        for image in range(3)
    ]
    manifest = write_csv(tmp_path / "m.csv", rows)
    whole = load_dataset(manifest)
    for bad in ("id1/0", "id2/1"):
        damage(tmp_path / "images" / f"{bad}.png", kind)
    with pytest.raises(UserError, match=r"2 of 30 images .* cannot be read: images/id1/0.png \("):
        load_dataset(manifest)
    data = load_dataset(manifest, on_bad_image="skip")
    assert "2 of 30 images" in capsys.readouterr().err
    assert names(data) == names(whole)
    keys = data.train.keys + data.validation.keys + data.test.keys
    assert len(keys) == 28
    assert not {"images/id1/0.png", "images/id2/1.png"} & set(keys)


def test_a_file_that_breaks_later_is_named(tmp_path: Path) -> None:
    data = load_dataset(fill_folder(tmp_path))
    damage(tmp_path / data.test.keys[0], "truncated")
    with pytest.raises(UserError, match=r"0.png can no longer be read"):
        data.test.pixels(SMALL)


def test_empty_identities_are_refused_or_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_folder(tmp_path)
    (tmp_path / "nobody").mkdir()
    with pytest.raises(UserError, match=r"1 identity folder of .* contains no image: nobody"):
        load_dataset(tmp_path)
    kept = names(load_dataset(tmp_path, on_bad_image="skip"))
    assert set.union(*kept.values()) == {f"id{number}" for number in range(10)}
    assert "nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "path,who\na.png,a\n", "no column 'identity'.*path, who"),
        ("m.csv", "", "lists no image"),
        ("m.csv", "path,identity\n", "lists no image"),
        ("m.csv", "path,identity\na.png,\n", "line 2: the identity is empty"),
        ("m.csv", "path,identity\na.png\n", "line 2: identity"),
        ("m.csv", "path,identity\na.png,a\na.png,b\n", "line 3: a.png is listed twice"),
        ("m.csv", "path,identity,x1,y1\na.png,a,1,2\n", "all of x1, y1, x2, y2"),
        ("m.csv", "path,identity,x1,y1,x2,y2\na.png,a,5,0,5,9\n", "no area"),
        ("m.csv", "path,identity,x1,y1,x2,y2\na.png,a,0,0,inf,9\n", "finite"),
        ("m.csv", "path,identity,x1,y1,x2,y2\na.png,a,0,zero,5,9\n", "line 2: box.1"),
        ("m.csv", "path,identity,x1,y1,x2,y2\na.png,a,50,50,60,60\n", "lies outside the 12x12"),
        ("m.csv", "path,identity,split\na.png,a,tset\n", "line 2: split"),
        ("m.csv", 'path,identity\n"a.png,a\n', "is not valid CSV after line 1"),
        ("m.jsonl", '{"path": "a.png"}\n', "line 1: there is no 'identity'"),
        ("m.jsonl", '{"path": "a.png", "identity": "a"}\n{"pa', "line 2, is not JSON"),
        ("m.jsonl", "[1]\n", "line 1, is not a JSON object"),
        ("m.jsonl", "\n\n", "lists no image"),
    ],
)
def test_wrong_manifests_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    write_image(tmp_path / "a.png")
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        load_dataset(tmp_path / name)


def test_binary_manifest_missing_file_and_loose_images(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load_dataset(tmp_path / "m.csv")
    with pytest.raises(UserError, match="cannot be read"):
        load_dataset(tmp_path / "no.csv")
    with pytest.raises(UserError, match="contains no images"):
        load_dataset(tmp_path)
    write_image(tmp_path / "loose.png")
    write_image(tmp_path / "anna" / "1.png")
    with pytest.raises(UserError, match="is not in an identity folder"):
        load_dataset(tmp_path)
    with pytest.raises(UserError, match="neither a folder nor"):
        load_dataset(tmp_path / "loose.png")


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Unknown dataset 'emoij'\. Did you mean emoji\?"):
        load_dataset("emoij")
    with pytest.raises(UserError, match="refuse, skip"):
        load_dataset("emoji", on_bad_image="ignore")  # type: ignore[arg-type]


def test_domains_and_splits_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fill_folder(tmp_path, identities=4)
    with pytest.raises(UserError, match="has no domains"):
        load_dataset(tmp_path, gallery_domain="shop")
    rows = [
        {"path": f"id{n}/0.png", "identity": f"id{n}", "split": s}
        for n, s in enumerate(("test", ""))
    ]
    with pytest.raises(UserError, match="'id1' has no split"):
        load_dataset(write_csv(tmp_path / "m.csv", rows))


def test_data_without_a_task_is_refused(tmp_path: Path) -> None:
    fill_folder(tmp_path / "shop" / "gallery", images=1)
    data = load_dataset(tmp_path / "shop")
    with pytest.raises(UserError, match=r"no query.*10 for test.*at least two images"):
        data.retrieval("test")
    with pytest.raises(UserError, match="only one identity in its gallery"):
        load_dataset(fill_folder(tmp_path / "three", identities=3)).retrieval("validation")
    with pytest.raises(UserError, match="validation, test"):
        data.retrieval("train")  # type: ignore[arg-type]


def test_memory_for_prepared_images_is_bounded(tmp_path: Path) -> None:
    records = [
        ImageRecord(path=write_image(tmp_path / f"{n}.png", (n, 0, 0)), key=str(n), identity="a")
        for n in range(6)
    ]
    images = FileImages(records, ["digest"] * 6, cache_bytes=4 * 8 * 8 * 3)
    rows = np.arange(6)
    first = images.pixels(rows, SMALL)
    for n in range(6):
        damage(tmp_path / f"{n}.png", "gone")
    assert np.array_equal(images.pixels(rows[:4], SMALL), first[:4])
    with pytest.raises(UserError, match=r"4.png can no longer be read: no such file"):
        images.pixels(rows[4:5], SMALL)
    with pytest.raises(UserError, match=r"0.png"):  # another preparation starts anew
        images.pixels(rows[:1], Preprocessing(input_size=4))


def test_fingerprint_follows_the_files(tmp_path: Path) -> None:
    fill_folder(tmp_path)
    before = load_dataset(tmp_path).test.fingerprint
    assert load_dataset(tmp_path).test.fingerprint == before
    changed = load_dataset(tmp_path).test.keys[0]
    write_image(tmp_path / changed, (255, 255, 0))
    assert load_dataset(tmp_path).test.fingerprint != before


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_registered_datasets_keep_the_contract(name: str) -> None:
    data = load_dataset(name)
    parts = names(data)
    assert not parts["train"] & parts["test"]
    assert not parts["validation"] & (parts["train"] | parts["test"])
    for images in (data.train, data.validation, data.test):
        assert images.identities.dtype == np.int64
        assert images.domains.dtype == np.int16
        assert images.pixels(SMALL, [0]).shape == (1, 8, 8, 3)
    assert len(data.retrieval("validation").queries)
    assert len(data.retrieval("test").queries)


def domain_rows(folder: Path, domains: Sequence[str]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for identity in "abcdefghij":
        for number, domain in enumerate(domains):
            name = f"{identity}{number}.png"
            write_image(folder / name, (ord(identity), number, 0))
            rows.append({"path": name, "identity": identity, "domain": domain})
    return rows


def test_the_gallery_of_domains_that_are_not_named_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = write_csv(tmp_path / "many.csv", domain_rows(tmp_path, ("shop", "user", "user")))
    task = load_dataset(many).retrieval("test")
    said = capsys.readouterr().err
    assert "there are the domains shop, user, and none is called 'gallery'" in said
    assert "the first image of each identity forms the gallery" in said
    assert {key[1] for key in task.gallery.keys} == {"0"}
    assert len(load_dataset(many, gallery_domain="user").retrieval("test").gallery) == 8
    assert "gallery" not in capsys.readouterr().err

    one = write_csv(tmp_path / "one.csv", domain_rows(tmp_path, ("shop", "shop")))
    assert len(load_dataset(one).retrieval("test").queries) == 4
    assert "there is the domain shop, and none is called 'gallery'" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"All images of .* are of the domain 'shop'"):
        load_dataset(one, gallery_domain="shop")


def test_an_identity_of_half_the_images_is_trained_on_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(60):
        write_image(tmp_path / "shop" / "all" / f"{number}.png", (number, 0, 1))
    data = load_dataset(fill_folder(tmp_path / "shop", identities=20))
    assert "'all' would pose 59 of the 99 queries of" in capsys.readouterr().err
    assert "all" in data.train.identity_names
    assert not {"all"} & {*data.validation.identity_names, *data.test.identity_names}


def test_a_task_that_asks_for_one_identity_says_so(tmp_path: Path) -> None:
    fill_folder(tmp_path / "test", identities=4, images=2)
    for number in range(17):
        write_image(tmp_path / "test" / "most" / f"{number}.png", (number, 0, 1))
    described = load_dataset(tmp_path).retrieval("test").describe()
    assert "80% of the queries ask for 'most'" in described
