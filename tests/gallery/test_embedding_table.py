"""Tables of embeddings: all kinds are read alike, also an index, and wrong ones are refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgecmp import kit
from edgecmp.errors import UserError
from edgecmp.gallery.embedding_table import EmbeddingTable
from edgecmp.gallery.index import GalleryIndex

KEYS = ["a/1.png", "a/2.png", "b, c/1.png"]
VALUES = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)


def _write(folder: Path, kind: str) -> Path:
    table = folder / f"table{kind}"
    lines = f'table = "table{kind}"\n'
    if kind == ".npz":
        np.savez(table, keys=np.array(KEYS), embeddings=VALUES)
    elif kind == ".safetensors":
        save_file({"embeddings": torch.from_numpy(VALUES)}, table)
        (folder / "keys.txt").write_text("\n".join(KEYS) + "\n")
        lines += 'keys = "keys.txt"\n'
    elif kind == ".csv":
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *range(8)])
            writer.writerows([key, *map(float, row)] for key, row in zip(KEYS, VALUES, strict=True))
    else:
        documents = [
            {"image": key, "embedding": row.tolist()} for key, row in zip(KEYS, VALUES, strict=True)
        ]
        table.write_text("\n".join(map(json.dumps, documents)))
    (folder / "gallery.toml").write_text(lines)
    return folder / "gallery.toml"


@pytest.mark.parametrize("kind", [".npz", ".safetensors", ".csv", ".jsonl"])
def test_every_kind_is_read_as_unit_embeddings_by_key(kind: str, tmp_path: Path) -> None:
    table = EmbeddingTable.load(_write(tmp_path, kind))
    assert list(table.rows) == KEYS
    expected = VALUES / np.linalg.norm(VALUES, axis=1, keepdims=True)
    np.testing.assert_allclose(table.embeddings, expected, rtol=1e-6)
    same = EmbeddingTable.of(KEYS, VALUES, name="x")
    assert table.sha256 == same.sha256
    assert table.sha256 != EmbeddingTable.of(KEYS[::-1], VALUES, name="x").sha256


def test_a_named_model_is_the_same_gallery_whatever_is_added(tmp_path: Path) -> None:
    source = _write(tmp_path, ".npz")
    source.write_text(source.read_text() + 'model = "resnet of May"\n')
    more = EmbeddingTable.of(["z"], VALUES[:1], name="x", model="resnet of May")
    assert EmbeddingTable.load(source).sha256 == more.sha256


def test_an_index_is_a_table_of_its_gallery_model(tmp_path: Path) -> None:
    index = GalleryIndex.load(kit.path("index"))
    (tmp_path / "gallery.toml").write_text(f'table = "{kit.path("index")}"\n')
    for path in (kit.path("index"), tmp_path / "gallery.toml"):
        table = EmbeddingTable.load(path)
        assert table.sha256 == index.manifest.gallery_sha256
        np.testing.assert_array_equal(
            table.embeddings[table.rows[index.keys[7]]], index.embeddings[7]
        )


@pytest.mark.parametrize(
    ("keys", "values", "match"),
    [
        (["a", "a"], VALUES[:2], "contains the image 'a' twice"),
        (["a"], VALUES[:2], r"1 keys and embeddings of shape \(2, 8\)"),
        (["a", "b"], VALUES[:2] * [[0], [1]], "1 of 2 embeddings .* are zero or not finite"),
        (["a", "b"], VALUES[:2] * [[np.nan], [1]], "1 of 2 embeddings"),
    ],
)
def test_unusable_tables_are_refused(
    keys: list[str], values: np.ndarray[tuple[int, int], np.dtype[np.float32]], match: str
) -> None:
    with pytest.raises(UserError, match=match):
        EmbeddingTable.of(keys, values, name="a table")


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ('tables = "x.npz"', "Unknown key 'tables' in .*Did you mean table"),
        ("keys = 3", "table: field required"),
        ('table = "x.xlsx"', "Unknown kind of table"),
        (
            'table = "none.npz"',
            r"none\.npz cannot be read as a table of embeddings: No such file",
        ),
        (
            f'table = "{kit.path("index")}"\nkeys = "keys.txt"',
            r"A gallery index contains its keys, so keys in .*gallery\.toml has no effect",
        ),
        ('table = "bad.csv"', r"bad\.csv cannot be read as a table"),
        ('table = "empty.jsonl"', r"empty\.jsonl cannot be read as a table"),
        ("table = ", "cannot be read as a description"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(lines: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "gallery.toml").write_text(lines)
    (tmp_path / "bad.csv").write_text("image,0\na,1\nb,red\n")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match=match):
        EmbeddingTable.load(tmp_path / "gallery.toml")
