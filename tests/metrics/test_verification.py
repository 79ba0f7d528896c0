"""TAR@FAR equals that of scikit-learn's full ROC curve, also for ties and small sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.metrics import tar_at_far, tar_from_scores
from edgecmp.metrics.exact_search import Embeddings
from edgecmp.preprocessing import Preprocessing

FARS = (1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0)


def expected(genuine: Embeddings, impostor: Embeddings, far: float) -> float:
    """The largest true positive rate whose false positive rate is at most `far`."""
    truth = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    fpr, tpr, _ = roc_curve(truth, np.concatenate([genuine, impostor]), drop_intermediate=False)
    return float(tpr[fpr <= far].max())


@settings(max_examples=80)
@given(
    genuine=st.lists(st.integers(0, 12), min_size=1, max_size=30),
    impostor=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    far=st.one_of(
        st.floats(0, 1),
        st.tuples(st.integers(0, 40), st.integers(1, 40)).map(
            lambda part: min(1, part[0] / part[1])
        ),
    ),
)
def test_scores_with_ties_equal_the_roc_curve(
    genuine: list[int], impostor: list[int], far: float
) -> None:
    one, other = np.array(genuine, np.float32), np.array(impostor, np.float32)
    assert tar_from_scores(one, other, fars=[far])[far] == pytest.approx(expected(one, other, far))


@pytest.mark.parametrize("seed", range(3))
def test_random_pairs_of_one_set_and_of_two(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids, other_ids = rng.integers(0, 20, 150), rng.integers(0, 20, 80)
    centres = rng.normal(size=(20, 8))
    queries = (centres[ids] + rng.normal(size=(150, 8))).astype(np.float32)
    gallery = (centres[other_ids] + rng.normal(size=(80, 8))).astype(np.float32)
    scores = queries @ gallery.T
    same = ids[:, None] == other_ids
    measured = tar_at_far(queries, ids, gallery, other_ids, fars=FARS)
    assert measured == {far: expected(scores[same], scores[~same], far) for far in FARS}
    within = queries @ queries.T
    pairs = [(i, j) for i in range(150) for j in range(i + 1, 150)]
    genuine = np.array([within[i, j] for i, j in pairs if ids[i] == ids[j]])
    impostor = np.array([within[i, j] for i, j in pairs if ids[i] != ids[j]])
    measured = tar_at_far(queries, ids, fars=FARS)
    assert measured == {far: expected(genuine, impostor, far) for far in FARS}


def test_emoji_pixels_equal_the_roc_curve() -> None:
    task = load_dataset("emoji").retrieval("validation")
    small = Preprocessing(input_size=8)
    queries, gallery = (
        (images.pixels(small).reshape(len(images), -1) / 255 - 0.5).astype(np.float32)
        for images in (task.queries, task.gallery)
    )
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    scores = queries @ gallery.T
    same = task.queries.identities[:, None] == task.gallery.identities
    measured = tar_at_far(
        queries, task.queries.identities, gallery, task.gallery.identities, fars=FARS
    )
    assert measured == {far: expected(scores[same], scores[~same], far) for far in FARS}
    assert 0 < measured[1e-4] < measured[1e-2] < measured[0.5] < 1


def test_self_pairs_do_not_count() -> None:
    queries = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    assert tar_at_far(queries, np.array([0, 0, 1]), fars=[0.0]) == {0.0: 1.0}
    assert tar_at_far(queries, np.array([0, 1, 0]), fars=[0.0]) == {0.0: 0.0}


def test_pairs_of_one_kind_are_not_enough() -> None:
    eye = np.eye(3, dtype=np.float32)
    with pytest.raises(UserError, match="0 genuine and 3 impostor"):
        tar_at_far(eye, np.arange(3), fars=[0.1])
    with pytest.raises(UserError, match="3 genuine and 0 impostor"):
        tar_at_far(eye, np.zeros(3), fars=[0.1])
    with pytest.raises(ValueError, match="must be given together"):
        tar_at_far(eye, np.arange(3), eye, fars=[0.1])
