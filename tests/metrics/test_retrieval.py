"""Top-k and ranking equal scikit-learn's and a complete sort; ties are ranked by index."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from sklearn.metrics import top_k_accuracy_score
from sklearn.neighbors import NearestNeighbors

from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.metrics import ranked, top_k
from edgecmp.metrics.exact_search import Embeddings, ExactSearch, Labels
from edgecmp.preprocessing import Preprocessing


def unit(values: Embeddings) -> Embeddings:
    scaled: Embeddings = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return scaled


@pytest.fixture(scope="module")
def emoji() -> tuple[Embeddings, Labels, Embeddings, Labels]:
    """Raw pixels of the validation split as embeddings: queries, ids, gallery, ids."""
    task = load_dataset("emoji").retrieval("validation")
    small = Preprocessing(input_size=8)
    queries, gallery = (
        unit(images.pixels(small).reshape(len(images), -1) / 255 - 0.5)
        for images in (task.queries, task.gallery)
    )
    return queries, task.queries.identities, gallery, task.gallery.identities


def drawn(seed: int) -> tuple[Embeddings, Labels, Embeddings, Labels]:
    """Random embeddings around a centre for each of 40 identities, several images each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(40, 16))
    query_ids, gallery_ids = rng.integers(0, 40, 300), rng.permutation(np.repeat(np.arange(40), 3))
    queries = unit(centres[query_ids] + rng.normal(size=(300, 16)))
    return queries, query_ids, unit(centres[gallery_ids] + rng.normal(size=(120, 16))), gallery_ids


@pytest.mark.parametrize("seed", range(3))
def test_random_top_k_equals_scikit_learn_and_a_complete_sort(seed: int) -> None:
    queries, query_ids, gallery, gallery_ids = drawn(seed)
    measured = top_k(queries, query_ids, gallery, gallery_ids, ks=(1, 5, 10))
    nearest = NearestNeighbors(metric="cosine", algorithm="brute").fit(gallery)
    places = nearest.kneighbors(queries, 10, return_distance=False)
    full = np.argsort(-(queries @ gallery.T), axis=1)[:, :10]
    for found in (places, full):
        hits = gallery_ids[found] == query_ids[:, None]
        assert measured == {k: hits[:, :k].any(1).mean() for k in (1, 5, 10)}
    assert 0.2 < measured[1] < measured[10] < 1


def test_emoji_top_k_equals_scikit_learn(emoji: tuple[Embeddings, ...]) -> None:
    queries, query_ids, gallery, gallery_ids = emoji
    measured = top_k(queries, query_ids, gallery, gallery_ids, ks=(1, 10))
    order = np.argsort(gallery_ids)  # one drawing per identity: a gallery image is a class
    labels = gallery_ids[order]
    scores = queries @ gallery[order].T
    for k in (1, 10):
        assert measured[k] == top_k_accuracy_score(query_ids, scores, k=k, labels=labels)
    assert 10 / len(gallery) < measured[10] < 1


def test_emoji_ranking_equals_a_complete_sort(emoji: tuple[Embeddings, ...]) -> None:
    queries, _, gallery, _ = emoji
    scores, indices = ranked(queries, gallery, 10)
    exact = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :10]
    expected_scores = np.take_along_axis(exact, expected, 1)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
    assert (indices == expected).mean() > 0.999  # near-ties apart, which rounding may swap


@settings(max_examples=60)
@given(
    queries=st_numpy.arrays(np.float32, (5, 2), elements=st.sampled_from([-1.0, 0.0, 1.0])),
    gallery=st_numpy.arrays(np.float32, (9, 2), elements=st.sampled_from([-1.0, 0.0, 1.0])),
    k=st.integers(min_value=1, max_value=12),
)
def test_ties_are_ranked_by_index(queries: Embeddings, gallery: Embeddings, k: int) -> None:
    scores, indices = ranked(queries, gallery, k)
    exact = queries @ gallery.T
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :k]
    assert np.array_equal(indices, expected)
    assert np.array_equal(scores, np.take_along_axis(exact, expected, 1))


def test_the_number_of_queries_does_not_change_the_result() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (rng.integers(-3, 4, (n, 4)).astype(np.float32) for n in (50, 30))
    search = ExactSearch(gallery)
    together = search.search(queries, 7)
    alone = [search.search(query[None], 7) for query in queries]
    for one, others in zip(together, zip(*alone, strict=True), strict=True):
        assert np.array_equal(one, np.concatenate(others))


def test_an_identity_outside_the_gallery_is_a_miss() -> None:
    eye = np.eye(2, dtype=np.float32)
    assert top_k(eye, np.array([0, 5]), eye, np.array([0, 1]), ks=(1, 50)) == {1: 0.5, 50: 0.5}


def test_embeddings_that_are_not_finite_are_refused() -> None:
    broken = np.eye(2, dtype=np.float32)
    broken[1, 0] = np.nan
    with pytest.raises(UserError, match="1 of 2 embeddings contain NaN"):
        ranked(np.eye(2, dtype=np.float32), broken, 1)
    with pytest.raises(ValueError, match="k 0"):
        ranked(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 0)
