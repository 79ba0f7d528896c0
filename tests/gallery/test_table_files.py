"""What users write as tables of embeddings: read as meant, or refused with the line and the key."""

from __future__ import annotations

import csv
import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from safetensors.torch import save_file

import edgecmp
from edgecmp import kit
from edgecmp.errors import UserError
from edgecmp.gallery import parquet_table
from edgecmp.gallery.embedding_table import EmbeddingTable
from edgecmp.inspection import Inspection, Unreadable

KEYS = ["a/1.png", "a/2.png", "b, c/1.png"]
VALUES = np.array([[1, 2, -3.5, 4], [0.25, 0, 1e-3, -1], [7, 8, 9, 10]], np.float32)
FLOAT = arrow.float32()
UNIT = VALUES / np.linalg.norm(VALUES, axis=1, keepdims=True)


def load(folder: Path, table: str, keys: str | None = None) -> EmbeddingTable:
    lines = f"table = {table!r}\n" + (f"keys = {keys!r}\n" if keys else "")
    (folder / "gallery.toml").write_text(lines)
    return EmbeddingTable.load(folder / "gallery.toml")


def check(table: EmbeddingTable) -> None:
    assert list(table.rows) == KEYS
    np.testing.assert_allclose(table.embeddings, UNIT, rtol=1e-6)


def lines(separator: str = ",", header: str | None = None, newline: str = "\n") -> str:
    rows = [
        separator.join([f'"{key}"', *map(str, row)])
        for key, row in zip(KEYS, VALUES.tolist(), strict=True)
    ]
    return newline.join(([header] if header is not None else []) + rows) + newline


@pytest.mark.parametrize(
    "text",
    [
        lines(),
        lines(header="image,0,1,2,3"),
        lines(header=",1,2,3,4"),
        lines(header="image,d0,d1,d2,d3"),
        lines(header="image,w,x,y,z"),
        lines(";", header="image;0;1;2;3"),
        lines("\t"),
        lines("; "),
        lines(newline="\r\n", header="key,0,1,2,3"),
        "\ufeff" + lines(header="key,0,1,2,3"),
        "\ufeff\n\n" + lines(newline="\n\n  \n"),
        lines().rstrip("\n"),
    ],
)
def test_csv_is_read_as_people_write_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.csv").write_bytes(text.encode())
    check(load(tmp_path, "table.csv"))


def test_a_key_with_quotation_marks_and_a_tsv(tmp_path: Path) -> None:
    (tmp_path / "table.TSV").write_text('"a ""b""\tc.png"\t1\t2\nplain;1,5.png\t3\t4\n')
    assert list(load(tmp_path, "table.TSV").rows) == ['a "b"\tc.png', "plain;1,5.png"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,1,2\nb,3\n", r"table\.csv cannot be read.*: line 2 has 1 numbers, but line 1 has 2"),
        ("a,1,2\n\nb,3,red\n", "'red' in line 3 is not a number"),
        ("a,1,red\nb,3,4\n", "'red' in line 1 is not a number"),
        ("a;0,1;0,2\nb;0,3;0,4\n", "'0,3' in line 2 is not a number"),
        ("image,label,d0,d1\na,3,1,2\n", "the column 'label' in line 1 is neither"),
        ("a,1,2,\nb,3,4,\n", "'' in line 1 is not a number"),
        (",1,2\n", "line 1 has no key"),
        ("a 1 2\n", "line 1 has no comma, semicolon or tab"),
        ('a,1,2\n"b,3,4\nc,5,6\n', "line 2 is not CSV"),
        ("", "it has no row"),
        ("image,d0,d1\n", "it has no row"),
        ("a,1,2\nb,nan,4\nc,0,0\n", r"2 of 3 embeddings .* first in line 2, of 'b'"),
        ("image,0,1,2\n\na,1,2,3\nb,1,inf,4\n", "1 of 2 .* first in line 4, of 'b'"),
        ("a,1e39,2\nb,3,4\n", "1 of 2 .* first in line 1, of 'a'"),
        ("a,1,2\nb,3,4\na,5,6\n", "contains the image 'a' twice, in line 1 and line 3"),
        ("\udcff,1,2\n", "it is not UTF-8 text"),
        ("a," + "9" * 200_000 + ",2\n", "1 of 1 embeddings"),
    ],
)
def test_the_line_of_a_fault_in_a_csv_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "table.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=says):
        load(tmp_path, "table.csv")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"image": "a", "embedding": [1, 2]}\n\n{"image": "b"}', 'line 3 has no list called "emb'),
        ('{"embedding": [1, 2]}', 'line 1 has no string called "image"'),
        ('{"image": 3, "embedding": [1, 2]}', 'line 1 has no string called "image"'),
        ('{"image": "a", "embedding": [1, "2"]}', "the embedding in line 1: must be real number"),
        ('{"image": "a", "embedding": [1, null]}', "the embedding in line 1"),
        ('{"image": "a", "embedding": [1, [2]]}', "the embedding in line 1"),
        ('{"image": "a", "embedding": []}', "line 1 has 0 numbers"),
        ('{"image": "a", "embedding": [1, NaN]}', "first in line 1, of 'a'"),
        ("[1, 2]", "line 1 is not a JSON object"),
        ('{"image": "a", ', "line 1 is not JSON"),
        ("[" * 100_000, "line 1 is nested too deep"),
        ('{"image": "a", "embedding": [1' + "0" * 400 + "]}", "the embedding in line 1: int too"),
        ('{"image": "a", "embedding": [1' + "0" * 5000 + "]}", "line 1 is not JSON"),
    ],
)
def test_the_line_of_a_fault_in_jsonl_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "table.jsonl").write_text(text)
    with pytest.raises(UserError, match=says):
        load(tmp_path, "table.jsonl")


@pytest.mark.parametrize("name", ["image", "key", "path"])
def test_jsonl_with_a_byte_order_mark(tmp_path: Path, name: str) -> None:
    documents = [
        json.dumps({name: key, "embedding": row, "label": 3})
        for key, row in zip(KEYS, VALUES.tolist(), strict=True)
    ]
    (tmp_path / "table.jsonl").write_text("\ufeff" + "\r\n\r\n".join(documents))
    check(load(tmp_path, "table.jsonl"))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_floats_in_any_order(tmp_path: Path, dtype: str, order: Any) -> None:
    values = np.array(VALUES, dtype, order=order)
    np.savez(tmp_path / "table.npz", keys=np.array(KEYS), embeddings=values)
    np.save(tmp_path / "table.npy", values)
    np.save(tmp_path / "names.npy", np.array([key.encode() for key in KEYS]))
    (tmp_path / "keys.txt").write_text("\ufeff" + "\r\n".join(KEYS) + "\r\n\r\n")
    tables = [
        load(tmp_path, "table.npz"),
        load(tmp_path, "table.npy", "keys.txt"),
        load(tmp_path, "table.npy", "names.npy"),
    ]
    for table in tables:
        assert list(table.rows) == KEYS
        np.testing.assert_allclose(table.embeddings, UNIT, rtol=1e-3 if dtype == "f2" else 1e-6)


@pytest.mark.parametrize(
    ("keys", "values", "says"),
    [
        (
            KEYS,
            np.array([[1], [2], [3]], np.int8),
            "are int8, not floating numbers .quantised",
        ),
        (KEYS, np.array([[1], [2], [3]], np.uint8), "are uint8"),
        (KEYS, np.array([[1], [2], [3]], np.complex64), "are complex64"),
        (KEYS, VALUES[0], r"have the shape \(4,\), not \(images, values\)"),
        (KEYS, VALUES[:, None], r"have the shape \(3, 1, 4\)"),
        (KEYS, VALUES[:, :0], r"have the shape \(3, 0\)"),
        (KEYS[:2], VALUES, r"2 keys and embeddings of shape \(3, 4\)"),
        ([KEYS], VALUES, r"the keys are <U10 of shape \(1, 3\), not strings"),
        ([1, 2, 3], VALUES, r"the keys are int64 of shape \(3,\), not strings"),
        (np.array(KEYS, object), VALUES, "contains Python objects"),
        ([KEYS[0], "", KEYS[2]], VALUES, "has an empty key in row 2"),
        (KEYS, VALUES * [[1], [np.nan], [0]], "2 of 3 .* the first in row 2, of 'a/2.png'"),
    ],
)
def test_arrays_that_are_not_a_table_are_named(
    tmp_path: Path, keys: Any, values: Any, says: str
) -> None:
    np.savez(tmp_path / "table.npz", keys=keys, embeddings=values)
    with pytest.raises(UserError, match=says):
        load(tmp_path, "table.npz")


def test_lengths_beyond_float32_are_scaled_not_refused(tmp_path: Path) -> None:
    values = VALUES * np.array([[1e30], [1e-30], [1]], np.float32)
    np.savez(tmp_path / "table.npz", keys=np.array(KEYS), embeddings=values)
    np.testing.assert_allclose(load(tmp_path, "table.npz").embeddings, UNIT, rtol=1e-5)


def test_embeddings_that_are_all_alike_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("".join(f"{row}.png,1,{row * 1e-4},2\n" for row in range(9)))
    load(tmp_path, "t.csv")
    assert "gallery.toml embeds different images almost alike" in capsys.readouterr().err
    (tmp_path / "t.csv").write_text(lines())
    load(tmp_path, "t.csv")
    assert "alike" not in capsys.readouterr().err


def test_safetensors_and_keys_that_do_not_fit(tmp_path: Path) -> None:
    save_file({"embeddings": torch.from_numpy(VALUES).half()}, tmp_path / "t.safetensors")
    (tmp_path / "keys.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"keys.txt has 2 keys, but .*t.safetensors has 3 embedd"):
        load(tmp_path, "t.safetensors", "keys.txt")
    (tmp_path / "keys.txt").write_text("a\n\nb\nc")
    with pytest.raises(UserError, match=r"keys.txt cannot be read.*: line 2 is empty.*one key per"):
        load(tmp_path, "t.safetensors", "keys.txt")
    with pytest.raises(UserError, match=r"names no file of keys.*keys = "):
        load(tmp_path, "t.safetensors")
    with pytest.raises(UserError, match=r"none\.txt cannot be read"):
        load(tmp_path, "t.safetensors", "none.txt")
    (tmp_path / "keys.txt").write_text("a\nb\nc")
    save_file({"features": torch.from_numpy(VALUES)}, tmp_path / "t.safetensors")
    with pytest.raises(UserError, match=r"no tensor `embeddings` \(its tensors: features\)"):
        load(tmp_path, "t.safetensors", "keys.txt")
    save_file({"embeddings": torch.ones(3, 4, dtype=torch.int8)}, tmp_path / "t.safetensors")
    with pytest.raises(UserError, match="the embeddings are int8, not floating"):
        load(tmp_path, "t.safetensors", "keys.txt")
    (tmp_path / "t.csv").write_text(lines())
    with pytest.raises(UserError, match=r"A .csv table contains its keys, so keys = .* no effect"):
        load(tmp_path, "t.csv", "keys.txt")


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.csv", "x.jsonl", "x.parquet"])
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "keys.txt").write_text("a")
    keys = "keys.txt" if name == "x.npy" else None
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="is a pipe"):
        load(tmp_path, name, keys)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(UserError, match="is a device"):
        load(tmp_path, name, keys)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (arrow.list_(FLOAT), arrow.array(KEYS)),
        (arrow.large_list(arrow.float64()), arrow.array(KEYS).dictionary_encode()),
        (arrow.list_(FLOAT, 4), arrow.array(KEYS, arrow.large_string())),
    ],
)
def test_parquet_with_a_list_per_image(tmp_path: Path, kind: Any, keys: Any) -> None:
    values = arrow.array(VALUES.tolist(), kind)
    table = arrow.table({"label": [1, 2, 3], "embedding": values, "key": keys})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    check(load(tmp_path, "t.parquet"))


@pytest.mark.parametrize("names", [["path"], ["__index_level_0__"], ["image", "__index_level_0__"]])
def test_parquet_with_a_column_per_dimension(tmp_path: Path, names: list[str]) -> None:
    columns = {str(n): VALUES[:, n].astype(("f4", "f8")[n % 2]) for n in range(4)}
    given = dict(zip(names, (KEYS, [5, 6, 7]), strict=False))
    parquet.write_table(arrow.table({**columns, **given}), tmp_path / "t.parquet")
    check(load(tmp_path, "t.parquet"))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"name": KEYS, "embedding": VALUES.tolist()}, r"no column `image`.*\(its columns: name,"),
        ({"image": [1, 2, 3], "embedding": VALUES.tolist()}, "`image` has values of type int64"),
        ({"image": ["a", None, "c"], "embedding": VALUES.tolist()}, "row 2 has no `image`"),
        ({"image": KEYS, "label": [1, 2, 3], "0": [0.1] * 3}, "`label` has values of type int64"),
        ({"image": KEYS, "embedding": [[1.0], [2.0, 3.0], [4.0]]}, "row 2 has 2 .* row 1 has 1"),
        ({"image": KEYS, "embedding": [[1.0], None, [4.0]]}, "row 2 has 0 numbers"),
        ({"image": KEYS, "embedding": [[1.0], [None], [4.0]]}, "1 values of its column `emb.*miss"),
        ({"image": KEYS, "embedding": [[1], [2], [3]]}, "`embedding` has values of type int64"),
        ({"image": KEYS, "embedding": ["[1]", "[2]", "[3]"]}, "of type string, not lists"),
        ({"image": KEYS, "0": [0.5, None, 1.0]}, "1 values of its column `0` are missing"),
        ({"image": KEYS}, "cannot be read"),
        (
            {
                "image": arrow.array([], arrow.string()),
                "embedding": arrow.array([], arrow.list_(arrow.float32())),
            },
            "no row",
        ),
        ({"image": KEYS[:2], "0": [0.5, float("nan")]}, "1 of 2 .* in row 2, of 'a/2.png'"),
    ],
)
def test_parquet_that_is_not_a_table_is_named(
    tmp_path: Path, columns: dict[str, Any], says: str
) -> None:
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=says):
        load(tmp_path, "t.parquet")


def test_a_parquet_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "SMALL", 2**20)
    values = arrow.array(np.zeros(1_000_000))
    table = arrow.table({"image": arrow.nulls(len(values), arrow.string()), "0": values})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 10**4
    assert "bytes claim to hold 8," in parquet_table.try_parquet(tmp_path / "t.parquet")


def test_a_parquet_file_that_ends_pyarrow_ends_a_child_alone(tmp_path: Path) -> None:
    columns = {"image": KEYS, "embedding": arrow.array(VALUES.tolist(), arrow.list_(FLOAT))}
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    outcomes = set()
    for place in range(len(content) - 420, len(content) - 8, 140):  # in the footer
        changed = bytearray(content)
        changed[place] ^= 0x7F
        (tmp_path / "t.parquet").write_bytes(changed)
        try:
            load(tmp_path, "t.parquet")
            outcomes.add("read")
        except UserError as error:
            outcomes.add("refused" if "t.parquet" in error.what else error.what)
    assert outcomes <= {"read", "refused"}


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"needs the package pyarrow\. .*'edgecmp\[parquet\]'"):
        load(tmp_path, "t.parquet")


def test_keys_are_found_in_either_normal_form_and_with_either_separator() -> None:
    composed, decomposed = (unicodedata.normalize(f, "Zoë/ä.png") for f in ("NFC", "NFD"))
    for table_key, asked in (
        (composed, decomposed),
        (decomposed, composed),
        ("a\\b.png", "a/b.png"),
        ("a/b.png", "a\\b.png"),
        (decomposed.replace("/", "\\"), composed),
    ):
        table = EmbeddingTable.of(["other", table_key], VALUES[:2], name="t")
        assert table.find([asked, "no", table_key]).tolist() == [1, -1, 1]
    both = EmbeddingTable.of([composed, decomposed], VALUES[:2], name="t")
    assert both.find([composed, decomposed]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("table", "asked", "says"),
    [
        (
            ["photos/a.jpg", "photos/b.jpg"],
            ["a.jpg", "b.jpg"],
            "'a.jpg'; the table has 'photos/a.j",
        ),
        (
            ["b.jpg", "a.jpg"],
            ["x/a.jpg", "x/b.jpg"],
            "such as 'x/[ab].jpg'; the table has '[ab].jpg'",
        ),
        (
            ["x/a.jpg", "y/b.jpg"],
            ["y/b.jpg", "a.jpg"],
            "1 of the 2 .* 'a.jpg'; the table has 'x/a.j",
        ),
        (["1", "2"], ["a.jpg"], "1 of the 1 images .* such as 'a.jpg'; the table has '1'. Write"),
        (["a.jpg", "z/c.jpg"], ["a.jpg", "b.jpg"], "1 of the 2 .* such as 'b.jpg'. Add them"),
        (["a.jpg", "z/c.jpg"], ["a.jpg", "y/c.jpg"], "1 of the 2 .* such as 'y/c.jpg'. Add them"),
    ],
)
def test_keys_that_do_not_match_are_shown_with_those_of_the_table(
    table: list[str], asked: list[str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        EmbeddingTable.of(table, VALUES[:2], name="t").embeddings_of(asked, data="photos")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1).filter(
    str.strip
)


@given(
    st.lists(TEXT, min_size=1, max_size=5, unique=True),
    st.sampled_from(",;\t"),
    st.integers(3, 5),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_any_key_survives_the_csv_module(
    tmp_path_factory: pytest.TempPathFactory,
    keys: list[str],
    separator: str,
    width: int,
    seed: int,
) -> None:
    values = np.random.default_rng(seed).normal(size=(len(keys), width))
    folder = tmp_path_factory.mktemp("csv")
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_NONNUMERIC)
        for key, row in zip(keys, values.tolist(), strict=True):
            writer.writerow([key, *row])
    table = load(folder, "t.csv")
    assert list(table.rows) == keys
    expected = EmbeddingTable.of(keys, values, name="t")
    np.testing.assert_allclose(table.embeddings, expected.embeddings, rtol=1e-6)


def test_inspect_says_what_a_table_contains(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(lines())
    (tmp_path / "of_csv.toml").write_text('table = "table.csv"\nmodel = "resnet of May"\n')
    (tmp_path / "of_index.toml").write_text(f'table = "{kit.path("index")}"\n')
    (tmp_path / "table.toml").write_text('table = "none.csv"\n')
    paths = [tmp_path / name for name in ("of_csv.toml", "of_index.toml", "table.toml")]
    report = edgecmp.inspect(paths, index=kit.path("index"))
    first, second, third = report.artefacts
    assert isinstance(first, Inspection)
    assert (first.what, first.facts["images"], first.facts["embedding"], first.facts["model"]) == (
        "table of embeddings",
        3,
        "4 values",
        "resnet of May",
    )
    assert [check.verdict for check in first.checks] == ["ok", "unknown"]
    assert isinstance(second, Inspection)
    assert [check.verdict for check in second.checks] == ["ok", "ok"]
    assert isinstance(third, Unreadable)
    assert "none.csv cannot be read as a table of embeddings: No such file" in third.error
    assert "size" in str(edgecmp.inspect(paths[0]))
