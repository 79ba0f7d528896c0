"""The file of embeddings: what is read is what was written, and a kill costs one record at most."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.training.embedding_log import EmbeddingLog

SHAPE = (3, 20, 4)
SETTINGS = {"seed": 0}
RECORDS = [(0, [3, 5, 19]), (2, [0]), (0, [1, 2]), (1, [3, 4, 5, 6])]


def _values(view: int, indices: list[int]) -> NDArray[np.float32]:
    """Numbers that float16 has exactly."""
    rows = [[view, index, index / 2, -view] for index in indices]
    return np.array(rows, np.float32)


def _written(path: Path) -> list[int]:
    """The size of the file before each record, and after the last."""
    sizes = []
    with EmbeddingLog.opened(path, SETTINGS, SHAPE) as log:
        for view, indices in RECORDS:
            sizes.append(path.stat().st_size)
            log.append(view, np.array(indices), _values(view, indices))
        log.sync()
    return [*sizes, path.stat().st_size]


def _check(path: Path, records: int) -> None:
    """The first records are in the file, and nothing else."""
    with EmbeddingLog.opened(path, SETTINGS, SHAPE) as log:
        present = {(view, index) for view, some in RECORDS[:records] for index in some}
        for view in range(SHAPE[0]):
            expected = [i for i in range(SHAPE[1]) if (view, i) not in present]
            assert log.missing(view, np.arange(SHAPE[1])).tolist() == expected
        for view, indices in RECORDS[:records]:
            backwards = indices[::-1]
            found = log.read(view, np.array(backwards))
            assert np.array_equal(found, _values(view, backwards))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    _written(tmp_path / "v")
    _check(tmp_path / "v", len(RECORDS))


@given(length=st.integers(0, 300))
def test_a_file_cut_at_any_byte_has_all_complete_records(
    length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "v"
    sizes = _written(path)
    length = min(length, sizes[-1])
    os.truncate(path, length)
    complete = sum(size <= length for size in sizes[1:])
    _check(path, complete)
    with EmbeddingLog.opened(path, SETTINGS, SHAPE) as log:  # and what follows them is whole
        for view, indices in RECORDS[complete:]:
            log.append(view, np.array(indices), _values(view, indices))
    _check(path, len(RECORDS))


@given(place=st.integers(0, 299), value=st.integers(1, 255))
def test_a_changed_byte_costs_its_record_and_those_after_it(
    place: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("changed") / "v"
    sizes = _written(path)
    content = bytearray(path.read_bytes())
    place = place % len(content)
    content[place] ^= value
    path.write_bytes(content)
    _check(path, sum(size <= place for size in sizes[1:]))


def test_other_settings_empty_the_file(tmp_path: Path) -> None:
    for settings, shape in (({"seed": 1}, SHAPE), (SETTINGS, (3, 20, 8)), (SETTINGS, (4, 20, 4))):
        path = tmp_path / "v"
        _written(path)
        with EmbeddingLog.opened(path, settings, shape) as log:
            assert len(log.missing(0, np.arange(20))) == 20
        path.unlink()


def test_a_full_disk_is_one_sentence_and_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v"
    sizes = _written(path)
    pwrite = os.pwrite

    def full(file: int, content: Any, place: int) -> int:
        if len(content) > 10:
            return pwrite(file, content[:10], place)
        raise OSError(errno.ENOSPC, "No space left on device")

    with EmbeddingLog.opened(path, SETTINGS, SHAPE) as log:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(UserError, match="The disk is full"):
                log.append(1, np.array([9]), _values(1, [9]))
        assert path.stat().st_size == sizes[-1]
        assert len(log.missing(1, np.array([9]))) == 1
    _check(path, len(RECORDS))
