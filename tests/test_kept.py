"""What several commands use again is made once within a run, and every time outside of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.gallery.source import ModelSource
from edgecmp.kept import keeping, kept
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.small_training import TRAIN, small_gallery


def test_a_result_is_kept_within_the_block_only() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [kept("a", make), kept("a", make)] == [1, 2]
    with keeping():
        assert [kept("a", make), kept("a", make), kept("b", make)] == [3, 3, 4]
        with keeping():
            assert kept("a", make) == 3
        assert kept("a", make) == 3
    assert kept("a", make) == 5


def test_an_error_is_not_kept() -> None:
    def fail() -> int:
        raise UserError("It failed.", "Try again.")

    with keeping():
        with pytest.raises(UserError):
            kept("a", fail)
        assert kept("a", lambda: 1) == 1


def test_data_is_opened_once_and_again_with_other_options(tmp_path: Path) -> None:
    data = write_identities(tmp_path / "photos", {"train": 3, "validation": 2, "test": 2})
    with keeping():
        first = load_dataset(data)
        assert load_dataset(str(data)) is first
        assert load_dataset(data, on_bad_image="skip") is not first
    assert load_dataset(data) is not first


def test_embeddings_are_computed_once_for_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ModelSource(small_gallery())
    expected = source.embeddings(TRAIN)
    with keeping():
        first = source.embeddings(TRAIN)
        assert np.array_equal(first, expected)
        monkeypatch.setattr(type(source.model), "embed", None)  # it must not be called again
        assert np.array_equal(source.embeddings(TRAIN), expected)
        first[:] = 0  # a caller's own copy
        assert np.array_equal(source.embeddings(TRAIN), expected)
        with pytest.raises(TypeError):
            source.embeddings(TRAIN.subset([0, 1]))
