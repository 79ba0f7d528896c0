"""IJB-C is recognised by its meta folder, or by the .toml file that describes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecmp.data.ijbc import IjbcDescription, find_ijbc
from edgecmp.errors import UserError


def described(folder: Path, text: str) -> Path:
    file = folder / "faces.toml"
    file.write_text(text)
    return file


def test_a_folder_with_lists_of_ijbc_is_recognised(tmp_path: Path) -> None:
    assert find_ijbc("emoji") is None
    assert find_ijbc(tmp_path) is None
    (tmp_path / "meta").mkdir()
    assert find_ijbc(tmp_path) is None  # an identity called meta
    (tmp_path / "meta" / "ijbc_face_tid_mid.txt").touch()
    assert find_ijbc(str(tmp_path)) == IjbcDescription(path=tmp_path)


def test_switches_and_paths(tmp_path: Path) -> None:
    text = 'format = "ijbc"\npath = "IJBC"\nflip = false\ntar = "nearest"\ncache = "kept"\n'
    found = find_ijbc(described(tmp_path, text))
    assert found == IjbcDescription(
        path=tmp_path / "IJBC", flip=False, tar="nearest", cache=tmp_path / "kept"
    )
    assert found is not None
    assert found.forms["templates"].startswith("flip off, norm off, detector score on")
    assert "insightface" in found.forms["tar_far"]
    assert "NIST" in found.forms["tpir_fpir"]


def test_other_descriptions_are_left_to_others(tmp_path: Path) -> None:
    assert find_ijbc(described(tmp_path, 'path = "photos"')) is None
    assert find_ijbc(described(tmp_path, "path = ")) is None
    assert find_ijbc(tmp_path / "none.toml") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('format = "ijbc"', "path: field required"),
        ('format = "ijbc"\npath = "a"\nflipp = true', "Did you mean flip"),
        ('format = "ijbc"\npath = "a"\ntpir = "best"', "tpir: .*'nist' or 'insightface'"),
    ],
)
def test_wrong_descriptions_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        find_ijbc(described(tmp_path, text))
