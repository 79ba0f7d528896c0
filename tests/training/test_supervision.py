"""Supervision: neighbours as scikit-learn finds them, in pieces or at once."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from edgecmp.errors import UserError
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


def test_a_gallery_that_gives_no_finite_embedding_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training on it would end with weights that are not finite, hours later."""
    ground = supervised(small_gallery())
    embeddings = ground.source.embeddings(TRAIN)
    embeddings[3, 1], embeddings[7, 0] = np.nan, np.inf
    monkeypatch.setattr(ground.source, "embeddings", lambda images: embeddings)
    with pytest.raises(
        UserError,
        match=rf"no finite embedding for 2 of the 12 .* such as {re.escape(repr(TRAIN.keys[3]))}",
    ):
        _ = ground.embeddings
