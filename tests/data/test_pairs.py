"""Tables of pairs: identities by what rows connect, queries and gallery by the columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from edgecmp.data import load_dataset
from edgecmp.data.pairs import is_pairs, read_pairs
from edgecmp.errors import UserError

Pairs = Sequence[tuple[str, str]]


def table(path: Path, pairs: Pairs, header: str = "query,match") -> Path:
    path.write_text("\n".join([header, *(",".join(pair) for pair in pairs)]) + "\n")
    return path


def images(folder: Path, count: int) -> None:
    for number in range(count):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")


def found(path: Path) -> dict[str, tuple[str, str]]:
    return {record.key: (record.identity, record.domain) for record in read_pairs(path)}


@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda pair: pair[0] != pair[1]),
        min_size=1,
        max_size=25,
    )
)
def test_identities_are_the_connected_components(
    pairs: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("pairs") / "p.csv"
    records = found(table(path, [(f"{one}.png", f"{two}.png") for one, two in pairs]))
    ends = np.array(pairs).T
    _, labels = connected_components(coo_array((np.ones(len(pairs)), ends), (16, 16)), False)
    numbers = sorted({*ends.ravel().tolist()})
    assert set(records) == {f"{number}.png" for number in numbers}
    for one in numbers:
        for two in numbers:
            same = records[f"{one}.png"][0] == records[f"{two}.png"][0]
            assert same == (labels[one] == labels[two])
    for number in numbers:
        identity, domain = records[f"{number}.png"]
        group = {name for name, (label, _) in records.items() if label == identity}
        assert identity == min(group)
        pure = {name for name in group if name not in {f"{two}.png" for _, two in pairs}}
        expected = pure or group - {min(group)}
        assert domain == ("query" if f"{number}.png" in expected else "gallery")


def test_a_query_may_have_several_matches_and_images_may_be_shared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "p.csv", [("a", "x"), ("a", "y"), ("b", "y"), ("c", "z"), ("z", "w")])
    assert found(path) == {
        "a": ("a", "query"),
        "b": ("a", "query"),
        "x": ("a", "gallery"),
        "y": ("a", "gallery"),
        "c": ("c", "query"),
        "z": ("c", "gallery"),
        "w": ("c", "gallery"),
    }
    said = capsys.readouterr().err
    assert "5 pairs of" in said
    assert "7 images to 2 identities, the largest with 4" in said
    assert "1 image of" in said
    assert "is a query in one row and a match in another, and counted as gallery" in said


def test_symmetric_pairs_keep_one_gallery_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "p.csv", [("b", "a"), ("a", "b"), ("a", "c"), ("c", "a")])
    assert {key: domain for key, (_, domain) in found(path).items()} == {
        "a": "gallery",
        "b": "query",
        "c": "query",
    }
    assert "In 1 identity that is every image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ("query,match", ","),
        ("Match\tQuery", "\t"),
        ("query_path;match-path", ";"),
        ("anchor,positive", ","),
        ("Query Image,gallery", ","),
    ],
)
def test_a_table_of_pairs_is_recognised_by_its_columns(
    tmp_path: Path, header: str, separator: str
) -> None:
    images(tmp_path, 40)
    reverse = header.startswith("Match")
    rows = [(f"{n}.png", f"{n + 20}.png")[:: -1 if reverse else 1] for n in range(20)]
    text = "\n".join([header, *(separator.join(row) for row in rows)])
    path = tmp_path / "p.csv"
    path.write_text(text)
    assert is_pairs(path)
    data = load_dataset(path)
    data.require("train", "validation", "test")
    task = data.retrieval("test")
    assert (len(task.queries), len(task.gallery)) == (8, 8)
    assert all(int(key.split(".")[0]) < 20 for key in task.queries.keys)


def test_json_lines_and_splits(tmp_path: Path) -> None:
    images(tmp_path, 12)
    rows = [
        {"query": f"{n}.png", "match": f"{n + 6}.png", "split": ("train", "val", "test")[n // 2]}
        for n in range(6)
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("\n" + "\n".join(map(json.dumps, rows)))
    data = load_dataset(path)
    assert sorted(data.test.keys) == ["10.png", "11.png", "4.png", "5.png"]
    assert sorted(data.validation.keys) == ["2.png", "3.png", "8.png", "9.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,match\na,a\n", "line 2: a is named as its own match"),
        ("query,match\na,./a\n", "line 2: a is named as its own match"),
        ("query,match\na,\n", "line 2: the match is empty"),
        ("query,match\na\n", "line 2: match"),
        ("query,match\n", "lists no pairs"),
        ("query,match,split\na,b,train\na,c,test\n", "line 3: a is in two splits, train and test"),
        ("query,match,split\na,b,query\n", "line 2: 'query' is no split of a pair"),
        ("query,match,split\na,b,tset\n", "line 2: split"),
        ("query,match,positive,gallery\na,b,c,d\n", "cannot be read"),
        ("query,positive,gallery\na,b,c\n", "several columns that may be the match"),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    (tmp_path / "d.toml").write_text('path = "p.csv"\nformat = "pairs"\n')
    with pytest.raises(UserError, match=message):
        load_dataset(tmp_path / "d.toml")


def test_other_tables_are_none(tmp_path: Path) -> None:
    for text in ("path,identity\n", "query,identity\n", "", "\xff\n", "{"):
        for suffix in (".csv", ".jsonl"):
            (tmp_path / f"m{suffix}").write_text(text, encoding="latin-1")
            assert not is_pairs(tmp_path / f"m{suffix}")
    assert not is_pairs(tmp_path)
    assert not is_pairs(tmp_path / "gone.csv")
    (tmp_path / "d.toml").write_text('path = "m.csv"\nformat = "pairs"\ngallery_domain = "x"\n')
    with pytest.raises(UserError, match="no key gallery_domain"):
        load_dataset(tmp_path / "d.toml")
    (tmp_path / "m.csv").write_text("query,other\na,b\n")
    (tmp_path / "d.toml").write_text('path = "m.csv"\nformat = "pairs"\n')
    with pytest.raises(UserError, match="has no column 'match'"):
        load_dataset(tmp_path / "d.toml")
