"""Joined images: every image and key of the parts, labels for the first part only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.data import Dataset, ImageSet, load_dataset
from edgecmp.data.joined import join, labelled_part, without_labels
from edgecmp.data.shard_writer import write_shards
from edgecmp.preprocessing import Preprocessing

SMALL = Preprocessing(input_size=16)
EMOJI = load_dataset("emoji")
FIRST = EMOJI.train.subset(np.arange(5)).relabelled()
PARTS = (EMOJI.validation.subset(np.arange(3)), EMOJI.test.subset(np.arange(10, 14)))
JOINED = join(FIRST, PARTS)
EXPECTED = np.concatenate([part.pixels(SMALL) for part in (FIRST, *PARTS)])


@given(st.lists(st.integers(0, 11), min_size=1, max_size=20))
def test_pixels_are_those_of_the_parts_in_any_order(rows: list[int]) -> None:
    np.testing.assert_array_equal(JOINED.pixels(SMALL, rows), EXPECTED[rows])
    image = JOINED.subset(rows).source.image(int(JOINED.rows[rows[0]]))
    np.testing.assert_array_equal(SMALL.fit(image), EXPECTED[rows[0]])


def test_only_the_first_part_has_labels() -> None:
    assert JOINED.identities.tolist() == [*FIRST.identities.tolist(), *[-1] * 7]
    assert JOINED.identity_names == FIRST.identity_names
    assert JOINED.keys == (*FIRST.keys, *PARTS[0].keys, *PARTS[1].keys)
    assert labelled_part(JOINED) is FIRST
    assert labelled_part(FIRST) is FIRST
    assert join(FIRST, ()) is FIRST


def test_the_fingerprint_depends_on_every_part() -> None:
    found = {
        one.fingerprint
        for one in (
            FIRST,
            without_labels(FIRST),
            JOINED,
            join(FIRST, PARTS[::-1]),
            join(FIRST, PARTS[:1]),
            join(without_labels(FIRST), PARTS),
        )
    }
    assert len(found) == 6
    assert join(FIRST, PARTS).fingerprint == JOINED.fingerprint


def test_a_key_that_occurs_twice_gets_the_name_of_its_set() -> None:
    """A table of embeddings would return that of the other image."""
    joined = join(FIRST, (FIRST.subset([0]), FIRST.subset([0])))
    assert joined.keys == (*FIRST.keys, f"emoji/{FIRST.keys[0]}", f"emoji/{FIRST.keys[0]}'")


def shards_of(images: ImageSet, monkeypatch: pytest.MonkeyPatch, per_shard: int) -> list[int]:
    monkeypatch.setattr("edgecmp.data.joined._PER_SHARD", per_shard)
    shards = join(images, PARTS).source.shards
    assert shards is not None
    return [int(shard) for shard in shards]


def test_files_beside_shards_are_dealt_out_to_shards_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert JOINED.source.shards is None
    write_shards(
        Dataset(name="some", train=FIRST, validation=PARTS[0], test=PARTS[1], gallery_domain=None),
        tmp_path / "shards",
        images_per_shard=2,
    )
    train = load_dataset(tmp_path / "shards").train
    found = shards_of(train, monkeypatch, 2)
    own, first, second = found[:5], found[5:8], found[8:]
    assert len(set(own)) == 3  # five images, two per shard
    assert first == [max(own) + 1, max(own) + 2, max(own) + 1]
    assert second == [max(first) + 1, max(first) + 2, max(first) + 1, max(first) + 2]
    np.testing.assert_array_equal(
        join(train, PARTS).pixels(SMALL, [0, 5, 11])[1:], EXPECTED[[5, 11]]
    )
