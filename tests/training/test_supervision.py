"""Supervision: neighbours as scikit-learn finds them, in pieces or at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from edgecmp.training import supervision
from tests.fixtures.small_training import TRAIN, small_gallery, supervised, table_of


def test_neighbours_are_the_nearest_by_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = small_gallery()
    ground = supervised(table_of(gallery))
    embeddings = ground.embeddings.numpy()
    search = NearestNeighbors(n_neighbors=5, metric="cosine").fit(embeddings)
    distances, expected = search.kneighbors(embeddings)
    for at_once in (2**24, 30):
        monkeypatch.setattr(supervision, "SCORES_AT_ONCE", at_once)
        cosines, indices = ground.neighbours(5)
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_allclose(cosines, 1 - distances, atol=1e-6)
    assert torch.equal(indices[:, 0], torch.arange(len(TRAIN)))
    assert ground.neighbours(99)[0].shape == (len(TRAIN), len(TRAIN))
