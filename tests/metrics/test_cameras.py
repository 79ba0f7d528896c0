"""Market-1501's rule: matches from the query's own camera are ignored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from edgecmp.metrics import tar_at_far, top_k
from edgecmp.metrics.exact_search import Cameras, Embeddings, Labels

KS = (1, 2, 5, 10, 50)
FARS = (0.0, 1e-2, 0.1, 1.0)


def drawn(
    seed: int, queries: int = 60, gallery: int = 90, people: int = 9, cameras: int = 4
) -> tuple[Embeddings, Labels, Embeddings, Labels, Cameras]:
    """Embeddings around a centre for each person, shifted by the camera, which is a shortcut."""
    rng = np.random.default_rng(seed)
    centres, shifts = rng.normal(size=(people, 8)), rng.normal(size=(cameras, 8))
    sets: list[tuple[Embeddings, Labels, Labels]] = []
    for count in (queries, gallery):
        person, camera = rng.integers(0, people, count), rng.integers(0, cameras, count)
        values = centres[person] + shifts[camera] + rng.normal(size=(count, 8))
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        sets.append((values.astype(np.float32), person, camera))
    (left, left_ids, left_cameras), (right, right_ids, right_cameras) = sets
    return left, left_ids, right, right_ids, (left_cameras, right_cameras)


def published(
    queries: Embeddings, query_ids: Labels, gallery: Embeddings, ids: Labels, cameras: Cameras
) -> dict[int, float]:
    """Top-k as the authors of Market-1501 define it, one query and one gallery image at a time.

    A gallery image of the query's identity and camera is taken out of the ranking before the ranks
    are counted.
    """
    found = dict.fromkeys(KS, 0)
    for query, person, camera in zip(queries, query_ids, cameras[0], strict=True):
        order = sorted(range(len(gallery)), key=lambda place: -float(query @ gallery[place]))
        kept = [
            place for place in order if not (ids[place] == person and cameras[1][place] == camera)
        ]
        first = next((rank for rank, place in enumerate(kept) if ids[place] == person), None)
        for k in KS:
            found[k] += first is not None and first < k
    return {k: count / len(queries) for k, count in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_top_k_equals_the_published_definition(seed: int) -> None:
    queries, query_ids, gallery, gallery_ids, cameras = drawn(seed)
    measured = top_k(queries, query_ids, gallery, gallery_ids, ks=KS, cameras=cameras)
    assert measured == published(queries, query_ids, gallery, gallery_ids, cameras)
    unruled = top_k(queries, query_ids, gallery, gallery_ids, ks=KS)
    assert measured[1] < unruled[1]  # without the rule the shortcut counts


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    queries=st.integers(1, 8),
    gallery=st.integers(1, 12),
    people=st.integers(1, 3),
    cameras=st.integers(1, 3),
)
def test_any_small_task_equals_the_published_definition(
    seed: int, queries: int, gallery: int, people: int, cameras: int
) -> None:
    asked, asked_ids, found, found_ids, labels = drawn(seed, queries, gallery, people, cameras)
    measured = top_k(asked, asked_ids, found, found_ids, ks=KS, cameras=labels)
    assert measured == published(asked, asked_ids, found, found_ids, labels)


@pytest.mark.parametrize("seed", range(3))
def test_tar_equals_scikit_learns_curve_over_the_pairs_that_count(seed: int) -> None:
    queries, query_ids, gallery, gallery_ids, cameras = drawn(seed)
    measured = tar_at_far(queries, query_ids, gallery, gallery_ids, fars=FARS, cameras=cameras)
    truth: list[bool] = []
    scores: list[float] = []
    for row, query in enumerate(queries @ gallery.T):
        for place, score in enumerate(query):
            same = bool(query_ids[row] == gallery_ids[place])
            if same and cameras[0][row] == cameras[1][place]:
                continue
            truth.append(same)
            scores.append(float(score))
    rates, tars, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert measured == {far: pytest.approx(tars[rates <= far].max(), abs=1e-9) for far in FARS}


def test_other_people_from_the_same_camera_still_count() -> None:
    eye = np.eye(2, dtype=np.float32)
    ids, cameras = np.array([0, 1]), (np.array([0]), np.array([0, 0]))
    assert top_k(eye[1:], np.array([0]), eye, ids, ks=(1, 2), cameras=cameras) == {1: 0.0, 2: 0.0}


def test_cameras_need_a_gallery() -> None:
    eye = np.eye(2, dtype=np.float32)
    with pytest.raises(ValueError, match="with cameras"):
        tar_at_far(eye, np.array([0, 0]), cameras=(np.array([0, 1]), np.array([0, 1])))
