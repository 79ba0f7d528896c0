"""insightface's TAR@FAR equals its scripts' rule on scikit-learn's ROC curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from edgecmp.errors import UserError
from edgecmp.metrics import tar_from_scores, tar_nearest
from edgecmp.metrics.exact_search import Embeddings

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def expected(genuine: Embeddings, impostor: Embeddings, far: float) -> float:
    """The first nearest point of the curve, walked from its end."""
    truth = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    fpr, tpr, _ = roc_curve(truth, np.concatenate([genuine, impostor]))
    nearest, tar = np.inf, np.nan
    for rate, found in reversed(list(zip(fpr.tolist(), tpr.tolist(), strict=True))):
        if abs(rate - far) < nearest:
            nearest, tar = abs(rate - far), found
    return float(tar)


@settings(max_examples=150)
@given(
    genuine=st.lists(st.integers(0, 15), min_size=1, max_size=30),
    impostor=st.lists(st.integers(0, 15), min_size=1, max_size=40),
    far=st.one_of(st.floats(0, 1), st.integers(0, 20).map(lambda part: part / 20)),
)
def test_scores_with_ties(genuine: Sequence[int], impostor: Sequence[int], far: float) -> None:
    one, other = np.array(genuine, np.float32), np.array(impostor, np.float32)
    assert tar_nearest(one, other, fars=[far])[far] == expected(one, other, far)


@pytest.mark.parametrize("seed", range(3))
def test_scores_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    genuine = rng.normal(3, 1, 300).astype(np.float32)
    impostor = rng.normal(0, 1, 40_000).astype(np.float32)
    measured = tar_nearest(genuine, impostor, fars=FARS)
    assert measured == {far: expected(genuine, impostor, far) for far in FARS}
    assert 0 < measured[1e-4] < measured[1e-1] < 1


def test_it_may_exceed_the_rate() -> None:
    genuine = np.array([3, 1], np.float32)
    impostor = np.array([2, 0, 0], np.float32)  # FAR 0, then a third, where both are found
    assert tar_nearest(genuine, impostor, fars=[0.3]) == {0.3: 1.0}
    assert tar_from_scores(genuine, impostor, fars=[0.3]) == {0.3: 0.5}


def test_both_kinds_of_pairs_are_needed() -> None:
    with pytest.raises(UserError, match="1 genuine and 0 impostor"):
        tar_nearest(np.ones(1, np.float32), np.ones(0, np.float32), fars=[0.1])
