"""The recipe "photos" is right for any job: sizes, batches, and methods that the gallery allows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.gallery.source import Need
from edgecmp.networks.tiers import TIERS
from edgecmp.training.job import EXAMPLE, Job
from edgecmp.training.recipes.photos import photos_gallery, photos_query, photos_supernet

PROVIDED = (
    frozenset(Need),
    frozenset({Need.EMBEDDINGS, Need.CLASSIFIER}),
    frozenset({Need.EMBEDDINGS}),
)
REGRESSED = ["regression-cosine", "similarities"]
IMITATED = ["imitation", *REGRESSED]


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Any job of 32 to 200,000 images."""
    images = draw(st.integers(32, 200_000))
    provides = draw(st.sampled_from(PROVIDED))
    return Job(
        images=images,
        identities=draw(st.integers(1, images)),
        unlabelled=draw(st.integers(0, 50_000)),
        median_side=draw(st.integers(16, 4000)),
        embedding_dim=draw(st.integers(64, 4096)),
        provides=provides,
        same_pixels=draw(st.booleans()),
        gallery_size=draw(st.integers(32, 518)) if Need.NETWORK in provides else None,
        tier=draw(st.sampled_from([*TIERS])),
        has_start=draw(st.booleans()),
    )


@given(jobs())
def test_sizes_and_schedules_fit_the_images(job: Job) -> None:
    everything = job.images + job.unlabelled
    for recipe in (photos_gallery(job), photos_supernet(job), photos_query(job)):
        assert recipe.input_size % 16 == 0
        assert 32 <= recipe.input_size <= 224
        assert recipe.input_size <= max(32, job.median_side)
        schedule = recipe.schedule
        assert everything // schedule.batch_size >= 8
        assert schedule.warmup_epochs <= schedule.epochs
        assert 0 < schedule.lr <= 0.2
        assert 0 <= schedule.ema < 1
        steps = schedule.epochs * (everything // schedule.batch_size)
        assert schedule.ema**steps < 0.01  # of the initial weights in the averaged ones
        assert schedule.epochs / recipe.watch_every <= 5


@given(jobs())
def test_methods_need_only_what_there_is(job: Job) -> None:
    query, supernet = photos_query(job), photos_supernet(job)
    for method in (*query.methods, *supernet.methods):
        assert method.needs <= job.provides
        assert not method.post_hoc
        if method.name == "bct":
            assert job.images / job.identities >= 4
    names = [method.name for method in query.methods]
    assert "regression-cosine" in names
    assert ("similarities" in names) == job.has_start
    if "imitation" in names and query.views:
        assert query.views * (job.images + job.unlabelled) <= 30_000
    assert supernet.tier == job.tier
    assert (supernet.seed_schedule is None) == job.has_start
    assert supernet.phases[-1].until == 1.0
    if supernet.sampling == "fair":  # one part of the batch for each path
        assert len(torch.zeros(supernet.schedule.batch_size).chunk(4)) == 4


@pytest.mark.parametrize(
    ("changed", "names", "views"),
    [
        ({"gallery_size": 64, "median_side": 72}, [*IMITATED, "bct"], 0),
        ({}, [*IMITATED, "bct"], 8),
        ({"images": 9_000, "identities": 3_000}, IMITATED, 3),
        ({"images": 60_000, "identities": 3_000}, [*REGRESSED, "bct"], 0),
        ({"provides": PROVIDED[1], "gallery_size": None}, [*REGRESSED, "bct"], 0),
        ({"identities": 2_000}, IMITATED, 8),
    ],
)
def test_methods_by_gallery_and_labels(
    changed: dict[str, object], names: list[str], views: int
) -> None:
    """Of 2,000 images of 400 identities and a model that reads 224 pixels, unless changed."""
    recipe = photos_query(replace(EXAMPLE, **changed))  # type: ignore[arg-type]
    assert [method.name for method in recipe.methods] == names
    assert recipe.views == views


def test_a_given_input_size_is_kept_and_a_start_shortens_the_training() -> None:
    assert photos_query(replace(EXAMPLE, input_size=200)).input_size == 200
    first, adapted = (photos_supernet(replace(EXAMPLE, has_start=start)) for start in (False, True))
    assert adapted.schedule.epochs < first.schedule.epochs / 2
    assert adapted.schedule.lr < first.schedule.lr
