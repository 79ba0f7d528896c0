"""Images with and without labels in equal shares of every batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.data import load_dataset
from edgecmp.data.joined import join
from edgecmp.data.shard_writer import write_shards
from edgecmp.data.unlabelled import open_unlabelled
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.batches import InMemory, Streamed, open_batches
from edgecmp.training.shares import evenly
from tests.fixtures.identity_folders import write_identities


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 99), st.integers(1, 20))
def test_every_stretch_has_its_share_of_labels(kinds: list[bool], seed: int, size: int) -> None:
    labelled = np.array(kinds)
    order = np.random.default_rng(seed).permutation(len(kinds))
    found = evenly(order, labelled)
    assert sorted(found.tolist()) == list(range(len(kinds)))
    for start in range(0, len(found) - size + 1, size):
        batch = labelled[found[start : start + size]]
        assert abs(batch.sum() - size * labelled.mean()) <= 1 + 1e-9
    for kind in (True, False):
        assert found[labelled[found] == kind].tolist() == order[labelled[order] == kind].tolist()


def test_an_order_of_labelled_images_stays_as_it_is() -> None:
    order = np.random.default_rng(0).permutation(50)
    assert evenly(order, np.ones(50, bool)).tolist() == order.tolist()


@pytest.mark.parametrize("kind", ["files", "shards"])
def test_batches_of_joined_images_have_the_images_of_their_indices(
    kind: str, tmp_path: Path
) -> None:
    """Shards are streamed by processes, the files beside them too."""
    prepare = Preprocessing(input_size=16)
    photos = load_dataset(
        write_identities(tmp_path / "photos", {"train": 4, "validation": 2, "test": 2})
    )
    write_identities(tmp_path / "other", {"": 6})
    if kind == "shards":
        write_shards(photos, tmp_path / "shards", images_per_shard=5, lossless=True)
        photos = load_dataset(tmp_path / "shards")
    joined = join(photos.train, [open_unlabelled(tmp_path / "other")])
    batches = open_batches(joined, prepare, workers=2)
    assert isinstance(batches, InMemory if kind == "files" else Streamed)
    expected = joined.pixels(prepare)
    seen = []
    for drawn in batches.epoch(10, torch.Generator().manual_seed(3)):
        np.testing.assert_array_equal(drawn.images, expected[drawn.indices.numpy()])
        assert int((joined.identities[drawn.indices] >= 0).sum()) == 4
        seen += drawn.indices.tolist()
    assert sorted(seen) == list(range(40))
