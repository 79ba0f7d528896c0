"""Templates equal those made one by one: mean of each media, sum of the media, unit length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecmp.data.ijbc import template_embeddings
from edgecmp.errors import UserError


@settings(max_examples=60)
@given(
    images=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=30),
    norm=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_they_equal_plain_loops(
    images: list[tuple[int, int]], norm: bool, weighted: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(len(images), 8)).astype(np.float32)
    scores = rng.uniform(0.1, 1, len(images)).astype(np.float32)
    names, media = zip(*images, strict=True)
    ids, rows = np.unique(names, return_inverse=True)
    found = template_embeddings(
        features,
        rows,
        np.array(media),
        ids=np.array(ids),
        norm=norm,
        scores=scores if weighted else None,
    )
    for row, template in enumerate(ids):
        total = np.zeros(8)
        for medium in {m for name, m in images if name == template}:
            group = []
            for feature, score, image in zip(features.astype(float), scores, images, strict=True):
                if image == (template, medium):
                    length = np.sqrt(sum(value**2 for value in feature)) if norm else 1
                    group.append(feature / length * (float(score) if weighted else 1))
            total += sum(group) / len(group)
        np.testing.assert_allclose(found[row], total / np.sqrt((total**2).sum()), atol=1e-6)


def test_a_video_counts_as_much_as_a_photograph() -> None:
    axes = np.eye(2, dtype=np.float32)
    features = np.concatenate([axes[:1], np.repeat(axes[1:], 99, axis=0)])
    rows = np.zeros(100, int)
    found = template_embeddings(features, rows, np.array([1] + [2] * 99), ids=np.array([7]))
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5]], atol=1e-6)


def test_features_that_sum_to_zero_are_named() -> None:
    features = np.array([[1, 0], [0, 1], [0, -1]], np.float32)
    with pytest.raises(UserError, match=r"1 templates sum to zero.*such as those of template 40\."):
        template_embeddings(
            features, np.array([0, 1, 1]), np.array([1, 2, 3]), ids=np.array([17, 40])
        )
