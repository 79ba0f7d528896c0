"""The seal of exported files, on files and packages that need no exporter."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.integrity import FORMAT, UNSEALED, seal, verify

DOCUMENT = json.dumps(
    {"content_sha256": UNSEALED, "format": FORMAT, "preprocessing_fingerprint": "ab" * 32}, indent=1
).encode()


def sealed(folder: Path, before: bytes = b"head", after: bytes = b"tail") -> Path:
    path = folder / "net.tflite"
    path.write_bytes(before + DOCUMENT + after)
    seal(path)
    return path


def package(folder: Path) -> Path:
    path = folder / "net.mlpackage"
    (path / "Data" / "weights").mkdir(parents=True)
    (path / "Data" / "model").write_bytes(b"program" + DOCUMENT)
    (path / "Data" / "weights" / "weight.bin").write_bytes(bytes(range(200)))
    (path / "Manifest.json").write_text('{"a": 1, "b": {"c": 2}}')
    seal(path)
    return path


def test_the_seal_is_the_hash_of_the_file_with_zeros_in_its_place(tmp_path: Path) -> None:
    content = sealed(tmp_path).read_bytes()
    plain = b"head" + DOCUMENT + b"tail"
    digits = hashlib.sha256(plain).hexdigest().encode()
    assert content == plain.replace(UNSEALED.encode(), digits)
    assert verify(tmp_path / "net.tflite")


@given(data=st.data(), before=st.binary(max_size=50), after=st.binary(max_size=50))
def test_any_other_bytes_are_a_change(
    data: st.DataObject, before: bytes, after: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = sealed(tmp_path_factory.mktemp("sealed"), before, after)
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 8)))
    changed = content[:start] + data.draw(st.binary(max_size=8)) + content[end:]
    path.write_bytes(changed)
    if changed == content:
        assert verify(path)
        return
    with pytest.raises(UserError, match=r"net\.tflite was changed since it was written"):
        verify(path)


@pytest.mark.parametrize("name", ["Data/model", "Data/weights/weight.bin", "Manifest.json"])
def test_every_byte_of_a_package_counts(tmp_path: Path, name: str) -> None:
    path = package(tmp_path)
    assert verify(path)
    whole = (path / name).read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        (path / name).write_bytes(changed)
        with pytest.raises(UserError, match="was changed since it was written"):
            verify(path)
    (path / name).unlink()
    if name == "Data/model":  # with the seal itself
        assert not verify(path)
        return
    with pytest.raises(UserError, match="was changed since it was written"):
        verify(path)


def test_what_other_programs_do_to_packages_is_no_change(tmp_path: Path) -> None:
    """The Finder adds files, and coremltools writes the manifest in another order."""
    path = package(tmp_path)
    (path / ".DS_Store").write_bytes(b"finder")
    (path / "Data" / "._model").write_bytes(b"finder")
    (path / "Manifest.json").write_text('{\n "b": {"c": 2}, "a": 1}\n')
    assert verify(path)
    (path / "Data" / "more.bin").write_bytes(b"")
    with pytest.raises(UserError, match="was changed"):
        verify(path)


def test_a_link_or_pipe_in_a_package_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path)
    weights = path / "Data" / "weights" / "weight.bin"
    weights.rename(tmp_path / "elsewhere.bin")
    weights.symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(UserError, match=r"weight\.bin in it is a link, pipe or device"):
        verify(path)
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(UserError, match=r"weight\.bin in it is a link, pipe or device"):
        verify(path)


def test_a_file_of_another_tool_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    for content in (b"", b"anything", b"/home/me/edgecmp-export/3d/net.py", b'"preprocessing"'):
        path.write_bytes(content)
        assert not verify(path)
    path.unlink()
    path.mkdir()
    assert not verify(path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ((UNSEALED[:1].encode(), b"x"), "was changed since it was written"),
        ((b"content_sha256", b"content_sha257"), "was changed since it was written"),
        ((DOCUMENT, DOCUMENT * 2), "was changed since it was written"),
        ((FORMAT.encode(), b"edgecmp-export/4"), "was changed since it was written"),
    ],
)
def test_a_damaged_seal_is_a_change(tmp_path: Path, damage: tuple[bytes, bytes], says: str) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes((b"head" + DOCUMENT).replace(*damage, 1))
    with pytest.raises(UserError, match=says):
        verify(path)


@pytest.mark.parametrize(("version", "says"), [(2, "older edgecmp"), (4, "newer edgecmp")])
def test_other_versions_are_named(tmp_path: Path, version: int, says: str) -> None:
    path = tmp_path / "net.tflite"
    document = {"format": f"edgecmp-export/{version}", "preprocessing_fingerprint": "ab" * 32}
    path.write_bytes(json.dumps(document).encode())
    with pytest.raises(UserError, match=f"was made by a.? {says}"):
        verify(path)


@pytest.mark.parametrize("content", [b"nothing", DOCUMENT * 2, DOCUMENT.replace(b"0", b"1")])
def test_only_a_complete_file_is_sealed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Metadata\.write\(\) exactly once"):
        seal(path)
    assert path.read_bytes() == content


def test_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(UserError, match="is a pipe"):
        verify(tmp_path / "pipe.onnx")
    with pytest.raises(UserError, match="No such file"):
        verify(tmp_path / "gone.onnx")
