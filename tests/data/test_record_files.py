"""Record files of MS1M and Glint: read as written by another writer, or refused by name."""

from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgecmp.data import load_dataset
from edgecmp.data.record_files import RecordImages
from edgecmp.data.record_io import RecordFile, split_record
from edgecmp.errors import UserError
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.batches import Streamed, open_batches
from tests.fixtures.record_writer import MAGIC, pack, record, write_insightface, write_records

SIDE = Preprocessing(input_size=8)


def image(seed: int, form: str = "png") -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def people(count: int = 40, images: int = 3) -> list[list[bytes]]:
    return [[image(10 * person + one) for one in range(images)] for person in range(count)]


def test_all_images_are_read_with_their_identities(tmp_path: Path) -> None:
    given = people()
    write_insightface(tmp_path / "faces", given)
    data = load_dataset(tmp_path / "faces")
    assert [len(part.identity_names) for part in (data.train, data.validation)] == [38, 2]
    assert len(data.test) == 0
    seen = {}
    for part in (data.train, data.validation):
        assert part.source.shards is not None  # training streams them
        pixels = part.pixels(SIDE)
        for row, key in enumerate(part.keys):
            seen[key] = (part.identity_names[part.identities[row]], pixels[row].tobytes())
            assert part.source.image(int(part.rows[row])).size == (8, 8)
            assert part.source.file(int(part.rows[row])) is None
    expected = {}
    for person, files in enumerate(given):
        for one, content in enumerate(files):
            with Image.open(io.BytesIO(content)) as stored:
                decoded = np.asarray(stored).tobytes()
            expected[f"train.rec/{3 * person + one + 1}"] = (str(person), decoded)
    assert seen == expected


def test_shares_and_worker_processes(tmp_path: Path) -> None:
    write_insightface(tmp_path, people())
    (tmp_path / "d.toml").write_text(
        'path = "train.rec"\nformat = "record"\nvalidation_share = 0.5\ntest_share = 0.25\n'
    )
    data = load_dataset(tmp_path / "d.toml")
    sizes = [len(part.identity_names) for part in (data.train, data.validation, data.test)]
    assert sizes == [15, 15, 10]
    assert len(data.retrieval("test").queries) == 20
    again = pickle.loads(pickle.dumps(data.train.source))
    rows = data.train.rows[:5]
    assert np.array_equal(again.pixels(rows, SIDE), data.train.source.pixels(rows, SIDE))
    (tmp_path / "d.toml").write_text('path = "train.rec"\nmargin = 0.1\n')
    with pytest.raises(UserError, match="format record, which has no key margin"):
        load_dataset(tmp_path / "d.toml")


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param(lambda a, b: {0: pack(0.0, a), 1: pack(1.0, b)}, id="no header"),
        pytest.param(lambda a, b: {5: pack(1.0, b), 3: pack(0.0, a)}, id="any keys in any order"),
        pytest.param(
            lambda a, b: {0: pack((3, 3)), 1: pack(0.0, a), 2: pack(1.0, b)}, id="no identities"
        ),
        pytest.param(
            lambda a, b: {1: pack((0.0, 9.5, 7), a), 2: pack((1.0, float("nan")), b)},
            id="landmarks as further labels",
        ),
        pytest.param(
            lambda a, b: {
                0: pack((3, 5)),
                1: pack(1.0, b),
                2: pack(0.0, a),
                3: pack((1, 2)),
                4: pack((2, 3)),
            },
            id="identities in another order than their labels",
        ),
        pytest.param(
            lambda a, b: {0: pack((3, 4)), 1: pack(0.0, a), 2: pack(1.0, b), 3: pack((1, 2))},
            id="an image in no list",
        ),
        pytest.param(
            lambda a, b: {0: pack((2**25, 2**25)), 1: pack(0.0, a), 2: pack(1.0, b)},
            id="a rounded header",
        ),
        pytest.param(
            lambda a, b: {1: pack(0.0, a), 2: pack(1.0, b), 3: pack(-1.0, b)}, id="no identity"
        ),
    ],
)
def test_other_writers_files(
    tmp_path: Path, contents: Callable[[bytes, bytes], dict[int, bytes]]
) -> None:
    write_records(tmp_path / "x.rec", contents(image(1), image(2)))
    (tmp_path / "d.toml").write_text('path = "x.rec"\nvalidation_share = 0.5\n')
    data = load_dataset(tmp_path / "d.toml")
    found = {
        part.identity_names[number]: pixels.tobytes()
        for part in (data.train, data.validation.subset(data.validation.domains == 0))
        for number, pixels in zip(part.identities, part.pixels(SIDE), strict=True)
    }
    expected = {}
    for label, content in (("0", image(1)), ("1", image(2))):
        with Image.open(io.BytesIO(content)) as stored:
            expected[label] = np.asarray(stored).tobytes()
    assert found == expected


@given(
    st.lists(
        st.lists(st.sampled_from([MAGIC, b"\0\0\0\0", b"abcd", b"x", MAGIC[:2], b"0123456789"])),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_any_content_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[bytes]], labels: list[float]
) -> None:
    images = [b"".join(content) for content in pieces]
    contents = {
        7 * row: pack(labels if len(labels) > 1 else labels[0], content)
        for row, content in enumerate(images)
    }
    file = RecordFile(write_records(tmp_path_factory.mktemp("rec") / "a.rec", contents))
    assert file.keys.tolist() == [*contents]
    with file.opened() as records:
        for place, content, stored in zip(file.places, contents.values(), images, strict=True):
            assert records.content(int(place)) == content
            found, inside = split_record(content)
            assert (found.tolist(), inside) == (labels, stored)
            assert records.label(int(place)) == (labels[0], stored != b"")
        assert records.end(int(file.places[-1])) == file.size


def write_small(folder: Path) -> Path:
    return write_insightface(folder, people(4, 2))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda r, i: i.unlink(),
            r"train\.idx cannot be read as the index of a record file: No su",
        ),
        (lambda r, i: i.write_text(""), r"train\.idx lists no record"),
        (lambda r, i: i.write_text("0\t0\n1\tx\n"), r"Line 2 of .*train\.idx is not a .*'1\\tx'"),
        (lambda r, i: i.write_text("0\n1\n"), r"Line 1 of .*train\.idx is not a key and a place"),
        (lambda r, i: i.write_text("0 0 1\n1\n"), r"Line 1 of .*train\.idx"),
        (lambda r, i: i.write_text(f"0\t{10**30}\n"), r"where there is none"),
        (lambda r, i: i.write_text(f"0\t{10**17}\n"), "record 0 is listed at byte 100,000,000,000"),
        (lambda r, i: i.write_text("0\t2\n"), r"idx does not fit .*, where there is none"),
        (lambda r, i: i.write_text("0\t0\n0\t4\n"), "lists the record 0 twice"),
        (lambda r, i: i.write_bytes(b"\xff\xfe0\t0\n"), "Line 1 of"),
        (lambda r, i: cut(i, lines=1), r"train\.idx is cut off: .* bytes after the last record"),
        (lambda r, i: renamed(i, 1, 100), "lacks 1 records that .* such as 1"),
        (lambda r, i: renamed(i, 9, 100), "lacks 1 records that .* such as 9"),
        (lambda r, i: cut(r, size=4), r"train\.rec is cut off: its last record ends at byte"),
        (lambda r, i: cut(r, size=48), r"does not fit .*train\.rec"),
        (lambda r, i: r.write_bytes(b""), r"does not fit .*train\.rec, which has 0 bytes"),
        (lambda r, i: r.write_bytes(r.read_bytes() + bytes(8)), r"train\.idx is cut off"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, damage: Callable[[Path, Path], object], says: str
) -> None:
    file = write_small(tmp_path)
    damage(file, file.with_suffix(".idx"))
    with pytest.raises(UserError, match=says):
        load_dataset(file)


def cut(path: Path, *, lines: int = 0, size: int = 0) -> None:
    content = path.read_bytes()
    if lines:
        content = b"".join(content.splitlines(keepends=True)[:-lines])
    path.write_bytes(content[: len(content) - size])


def renamed(index: Path, key: int, other: int) -> None:
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(re.sub(rf"^{key}\t", f"{other}\t", line) for line in lines))


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        ({0: pack((5, 3))}, "The record 0 of .* it names records 5 to 2 as identities"),
        ({0: pack((2.5, 3))}, "The record 0 of .* its label 2.5 is not a whole number"),
        ({0: pack((float("inf"), 3))}, "its label inf is not a whole number"),
        ({0: pack((9, 9)), 1: pack(0.0, b"x")}, "names 8 images, but the file contains 1"),
        ({1: pack(0.5, b"x")}, "The record 1 of .* its label 0.5 is not a whole number"),
        ({1: pack(float("nan"), b"x")}, "its label nan is not a whole number"),
        ({1: b"short"}, "The record 1 of .* fewer than its header needs"),
        ({1: b"\xff" * 24}, "its header names 4,294,967,295 labels"),
        ({1: pack(0.0)}, "contains no image with an identity"),
        ({1: pack(-1.0, b"x")}, "contains no image with an identity"),
        (
            {0: pack((2, 3)), 1: pack(0.0, b"x"), 2: pack((1, 4))},
            "The record 2 of .* should name the images of an identity among 1 to 1",
        ),
        (
            {
                0: pack((3, 5)),
                1: pack(0.0, b"x"),
                2: pack(0.0, b"x"),
                3: pack((1, 3)),
                4: pack((2, 3)),
            },
            "The record 4 of .* names images that record 3 names too",
        ),
        ({0: pack((2, 3)), 1: pack(0.0, b"x"), 2: pack(0.0, b"x")}, "The record 2 .* should name"),
    ],
)
def test_records_that_contradict_each_other_are_named(
    tmp_path: Path, contents: dict[int, bytes], says: str
) -> None:
    write_records(tmp_path / "train.rec", contents)
    with pytest.raises(UserError, match=says):
        load_dataset(tmp_path / "train.rec")


def test_a_chain_of_parts_without_an_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.rec").write_bytes((MAGIC + b"\0\0\0\x20") + (MAGIC + b"\0\0\0\x40") * 70_000)
    (tmp_path / "train.idx").write_text("1\t0\n")
    with pytest.raises(UserError, match="does not fit"):
        load_dataset(tmp_path / "train.rec")


def test_a_record_that_is_no_image_is_named_or_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = people(8, 3)
    given[2][1] = b"\xff\xd8 no image"
    write_insightface(tmp_path, given)
    data = load_dataset(tmp_path)
    parts = [part for part in (data.train, data.validation) if "train.rec/8" in part.keys]
    with pytest.raises(UserError, match=r"The record 8 of .*cannot be read as an image.*on_bad_im"):
        parts[0].pixels(SIDE)
    (tmp_path / "d.toml").write_text('path = "."\non_bad_image = "skip"\n')
    data = load_dataset(tmp_path / "d.toml")
    assert len(data.train) + len(data.validation) == 23
    assert "train.rec/8" not in {*data.train.keys, *data.validation.keys}
    told = capsys.readouterr().err
    assert "1 of 24 images" in told
    assert "The record 8" in told


def test_the_fingerprint_follows_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(folder: str, whole: int) -> str:
        monkeypatch.setattr("edgecmp.data.record_files._HASHED_WHOLE", whole)
        return load_dataset(tmp_path / folder).train.fingerprint

    write_small(tmp_path / "one")
    write_small(tmp_path / "two")
    for whole in (2**28, 0):
        assert fingerprint("one", whole) == fingerprint("two", whole)
    content = bytearray((tmp_path / "two" / "train.rec").read_bytes())
    content[60] ^= 1  # in the first image
    (tmp_path / "two" / "train.rec").write_bytes(content)
    for whole in (2**28, 0):
        assert fingerprint("one", whole) != fingerprint("two", whole)


def test_a_label_that_changed_is_found_when_its_image_is_read(tmp_path: Path) -> None:
    write_small(tmp_path)
    file = RecordFile(tmp_path / "train.rec")
    source = RecordImages(file, np.array([1, 2]), np.array([0, 5]))
    assert source.image(0).size == (8, 8)
    with pytest.raises(UserError, match=r"record 2 of .* its label is 0 where the others say 5"):
        source.pixels(np.array([0, 1]), SIDE)
    (tmp_path / "train.rec").unlink()
    with pytest.raises(UserError, match=r"train\.rec cannot be read: No such file"):
        source.image(0)


def test_folders_and_names_that_are_no_record_file(tmp_path: Path) -> None:
    write_small(tmp_path)
    os.link(tmp_path / "train.rec", tmp_path / "val.rec")
    os.link(tmp_path / "train.idx", tmp_path / "val.idx")
    with pytest.raises(UserError, match=r"contains several: train.rec, val.rec\. Name the .rec"):
        load_dataset(tmp_path)
    os.mkfifo(tmp_path / "pipe.rec")
    (tmp_path / "pipe.idx").write_text("0\t0\n")
    (tmp_path / "d.toml").write_text('path = "pipe.rec"\nformat = "record"\n')
    with pytest.raises(UserError, match=r"pipe\.rec is not a file with records"):
        load_dataset(tmp_path / "d.toml")


def test_hostile_bytes_end_in_one_sentence(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    file = write_small(tmp_path)
    content, index = file.read_bytes(), file.with_suffix(".idx").read_bytes()
    refused = 0
    for _ in range(200):
        for path, whole in ((file, content), (file.with_suffix(".idx"), index)):
            changed = bytearray(whole)
            for place in random.integers(0, len(changed), random.integers(0, 4)):
                changed[place] = random.integers(0, 256)
            path.write_bytes(changed)
        try:
            load_dataset(file).train.pixels(SIDE)
        except UserError:
            refused += 1
    assert 0 < refused < 200


def test_a_record_is_padded_to_four_bytes() -> None:
    assert record(b"abcde") == MAGIC + b"\x05\0\0\0abcde\0\0\0"
    assert record(MAGIC + b"z") == MAGIC + b"\0\0\0\x20" + MAGIC + b"\x01\0\0\x60z\0\0\0"


def test_training_streams_the_images(tmp_path: Path) -> None:
    train = load_dataset(write_insightface(tmp_path, people(10, 4))).train
    pixels = train.pixels(SIDE)
    for workers in (0, 2):
        batches = open_batches(train, SIDE, workers=workers)
        assert isinstance(batches, Streamed)
        seen = []
        for indices, images, _ in batches.epoch(8, torch.Generator().manual_seed(1)):
            assert np.array_equal(images.numpy(), pixels[indices])
            seen += indices.tolist()
        assert len(set(seen)) == len(seen) == len(train) // 8 * 8
        assert seen != sorted(seen)
