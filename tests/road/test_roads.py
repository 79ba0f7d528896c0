"""Ten small roads from end to end, for galleries that read 32 and 64 pixels; and the fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecmp.gallery.open import open_gallery
from edgecmp.preprocessing import Preprocessing
from tests.conftest import Result
from tests.fixtures.generated_photos import photo
from tests.fixtures.roads import Road, write_gallery
from tests.fixtures.walked_roads import LARGE, SMALL, check_road


@pytest.mark.roads(quick=["fifty photos", "fifty without labels"])
@pytest.mark.parametrize("name", SMALL)
def test_a_road_ends_with_proven_files(
    name: str, edgecmp: Callable[..., Result], tmp_path: Path
) -> None:
    check_road(name, edgecmp, tmp_path)


def test_twenty_roads_cover_what_a_user_may_bring() -> None:
    roads = (SMALL | LARGE).values()
    assert len(roads) == 20
    assert {road.width for road in roads} == {64, 384, 768, 1280, 2048}
    assert {road.reads for road in roads} >= {32, 64, 112, 224}
    assert min(road.images for road in roads) == 50
    assert max(road.images for road in roads) == 300
    shapes = {"folders", "splits", "table", "flat", "single", "pairs"}
    assert {road.shape for road in roads} == shapes


@pytest.mark.parametrize("width", [64, 2048])
def test_the_galleries_find_what_the_photos_show(width: int, tmp_path: Path) -> None:
    """Far above chance, 2.5 %, or the roads would prove nothing; and not perfectly."""
    road = Road(width=width, reads=48, side=64, counts=(2,) * 40)
    model = open_gallery(write_gallery(tmp_path / "gallery", road))
    views = [
        model.embed(embeddable(model.preprocessing, view, len(road.counts))) for view in range(2)
    ]
    assert views[0].shape == (40, width)
    scores = views[1] @ views[0].T
    assert 0.25 < (scores.argmax(1) == np.arange(40)).mean() < 1
    assert np.median(scores) < 0.5


def embeddable(
    preprocessing: Preprocessing, view: int, identities: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One photo of each identity, as a network reads it."""
    return np.stack([preprocessing.fit(photo(one, view, 64)) for one in range(identities)])
