"""Artefacts are read from regular files only, within bounds, and sealed documents show changes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.documents import peek_toml, read_toml
from edgecmp.errors import UserError
from edgecmp.files import SEAL, read_bytes, read_json, read_tensors, seal, seal_of, sha256_file

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(max_size=4).filter(lambda key: key != SEAL), VALUES)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "missing", "long name", "NUL"])
def test_only_regular_files_are_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    path = {"device": Path("/dev/zero"), "long name": tmp_path / ("x" * 300)}.get(kind, path)
    path = tmp_path / "a\0b" if kind == "NUL" else path
    readers: list[Any] = [read_bytes, read_json, read_tensors]
    for read in readers:
        with pytest.raises(UserError, match=f"(?s){'x' if kind != 'NUL' else 'a'}.*a document"):
            read(path, what="a document") if kind != "device" else read(path, what="x, a document")
    with pytest.raises(UserError):
        read_toml(path, what="a description", way_out="Name another.")
    assert peek_toml(path) == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": ' * 100_000, "nested too deep"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "truncated or not JSON"),
        (b'{"a": "\xff"}', "truncated or not JSON"),
        (b"[1, 2]", "does not contain a JSON object"),
        (b"", "truncated or not JSON"),
    ],
)
def test_hostile_json_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_json(tmp_path / "x.json", what="a document")


@pytest.mark.parametrize(
    "content",
    [b"a = " + b"[" * 100_000, b"a = 1" + b"0" * 5000, b"\xff", b"a = ", b"a = {b = 1, b = 2}"],
)
def test_hostile_toml_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a description"):
        read_toml(tmp_path / "x.toml", what="a description", way_out="Name another.")


def test_a_byte_order_mark_is_no_part_of_a_document(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_json(tmp_path / "x.json", what="a document") == {"a": 1}
    assert read_toml(tmp_path / "x.toml", what="a description", way_out="") == {"a": 1}


def test_a_file_beyond_its_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(101))
    assert len(read_bytes(tmp_path / "x", what="a document", limit=101)) == 101
    with pytest.raises(UserError, match="101 bytes, too many"):
        read_bytes(tmp_path / "x", what="a document", limit=100)


def test_a_large_file_is_hashed_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert sha256_file(tmp_path / "x") == expected


@given(DOCUMENTS, DOCUMENTS)
def test_a_seal_shows_every_change(document: dict[str, Any], other: dict[str, Any]) -> None:
    sealed = json.loads(json.dumps(seal(document)))
    assert seal_of(sealed) == sealed[SEAL]
    if json.dumps(other, sort_keys=True) != json.dumps(document, sort_keys=True):
        assert seal_of({**other, SEAL: sealed[SEAL]}) != sealed[SEAL]
        assert seal_of(sealed, other) != sealed[SEAL]
