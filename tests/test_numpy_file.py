"""Arrays from outside are read as numpy reads them, or refused before memory is spent."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgecmp.errors import UserError
from edgecmp.numpy_file import read_npy, read_npz

WHAT = "an array"
DTYPES = st.sampled_from(["f2", "f4", "f8", ">f4", "u1", "i8", "U5", "S3"])


@given(
    st.data(), st.booleans(), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
)
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_as_numpy_wrote_them(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, by_column: bool, shape: Any
) -> None:
    array = data.draw(arrays.arrays(np.dtype(data.draw(DTYPES)), shape))
    if by_column:
        array = np.asfortranarray(array)
    folder = tmp_path_factory.mktemp("arrays")
    np.save(folder / "a.npy", array)
    np.savez(folder / "a.npz", one=array, two=array[..., :0] if array.ndim else array)
    np.savez_compressed(folder / "b.npz", one=array)
    found = [
        read_npy(folder / "a.npy", what=WHAT),
        read_npz(folder / "a.npz", ["one"], what=WHAT)["one"],
        read_npz(folder / "b.npz", ["one"], what=WHAT)["one"],
    ]
    for one in found:
        assert (one.dtype, one.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(one, array)


def header(
    descr: str = "<f4", shape: str = "(2, 3)", order: str = "False", data: int = 24
) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + bytes(data)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (header(shape="(1000000, 1000000)"), r"claims the shape \(1000000, 1000000\) of float32"),
        (header(shape="(10000000000000000000000, 3)"), "claims the shape"),
        (header(shape="(-2, -3)"), r"claims the shape \(-2, -3\)"),
        (header(shape="(0, 1000000000000)"), "claims the shape"),
        (header(data=23), "but 23 bytes follow"),
        (header(data=28), "but 28 bytes follow"),
        (header(descr="|O"), "contains Python objects, which are not read"),
        (header(descr="<U0", shape="(1000000000000,)", data=0), "cannot be read"),
        (header(shape="(2, 3"), "cannot be read"),
        (header(shape="((((2, 3))))," + "(" * 1900), "cannot be read"),
        (header().replace(b"\x01\x00", b"\x09\x00", 1), r"version 9\.0 of the format"),
        (b"", "cannot be read"),
        (b"PK\x03\x04", "cannot be read"),
    ],
)
def test_a_lying_or_damaged_npy_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npy cannot be read as an array") as caught:
        read_npy(tmp_path / "a.npy", what=WHAT)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=says):
        read_npy(tmp_path / "a.npy", what=WHAT)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("one.npy", content)
    with pytest.raises(UserError, match=says):
        read_npz(tmp_path / "a.npz", ["one"], what=WHAT)


def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("one.npy", "w") as member,
    ):
        member.write(header(shape="(1, 75497472)", data=0))
        for _ in range(288):
            member.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"would unpack to 301,990,016 bytes from .* too many"):
            read_npz(tmp_path / "a.npz", ["one"], what=WHAT)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_missing_arrays_and_files_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", names=["x"], values=[1.0])
    with pytest.raises(UserError, match=r"no array `keys` \(its arrays: names, values\)"):
        read_npz(tmp_path / "a.npz", ["keys"], what=WHAT)
    with pytest.raises(UserError, match="No such file"):
        read_npy(tmp_path / "none.npy", what=WHAT)
    with pytest.raises(UserError, match="is a folder, not a file with an array"):
        read_npz(tmp_path, ["keys"], what=WHAT)
    with pytest.raises(UserError, match="is a device"):
        read_npy(Path("/dev/zero"), what=WHAT)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_never_escape_as_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, one=np.arange(6, dtype=np.float32).reshape(2, 3))
    content = bytearray(stream.getvalue() if data.draw(st.booleans()) else header())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / "a"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (lambda: read_npy(path, what=WHAT), lambda: read_npz(path, ["one"], what=WHAT)):
            with contextlib.suppress(UserError):
                assert read() is not None
