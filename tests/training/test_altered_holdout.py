"""Trainings and searches on images without labels: what their hold-out is, is said with figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.data import load_dataset
from edgecmp.data.altered_queries import QUERIES_NOTE
from edgecmp.errors import UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.plotting import new_figure
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.gallery import train_gallery
from edgecmp.training.recipes.tiny import tiny_gallery
from tests.fixtures.small_search import save_small_models, small_run

NOTE = f"{QUERIES_NOTE} Figures of 3 queries are rough: 50 % means 13 to 87 % (95 % interval)."


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen images without labels: 6 for training, 3 for the hold-out."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(15):
        pattern = random.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pattern).save(folder / f"{number}.png")
    return folder


def test_a_gallery_model_learns_views_of_each_image_and_says_so(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = train_gallery(tiny_gallery(), data=str(photos), out=tmp_path / "gallery")
    said = capsys.readouterr().err
    assert "Each training identity of" in said
    assert "altered copies of the gallery images" in said
    assert report.queries_note == NOTE
    assert NOTE in str(report)
    assert report.to_dict()["queries_note"] == NOTE
    assert GalleryBundle.load(tmp_path / "gallery").manifest.metrics["queries_note"] == NOTE
    again = train_gallery(tiny_gallery(), data=str(photos), out=tmp_path / "gallery")
    assert again.to_dict() == report.to_dict()


def test_training_is_refused_before_it_starts(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "few").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "few" / f"{number}.png")
    with pytest.raises(UserError, match="4 identities, 1 for training, 1 for validation, 2 for te"):
        train_gallery(tiny_gallery(), data=str(tmp_path / "few"), out=tmp_path / "out")
    for split, identities in (("train", "a"), ("val", "bc"), ("test", "de")):
        for identity in identities:
            for number in range(2):
                place = tmp_path / "one" / split / identity / f"{number}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (number, 0, 0)).save(place)
    with pytest.raises(UserError, match=r"All training images of .* show one identity"):
        train_gallery(tiny_gallery(), data=str(tmp_path / "one"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_search_without_training_images_is_refused(tmp_path: Path) -> None:
    for number in range(4):
        place = tmp_path / "val" / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(place)
    data = load_dataset(tmp_path)
    assert len(data.retrieval("validation").queries) == 4
    with pytest.raises(UserError, match="0 training images, and a training needs two or more"):
        HoldOut(data, None, Preprocessing(input_size=32))


def test_a_search_says_it_in_its_report_its_file_and_its_pictures(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []

    def titled(width: float, height: float, *, title: str = "") -> object:
        titles.append(title)
        return new_figure(width, height, title=title)

    monkeypatch.setattr("edgecmp.search.results.search_plot.new_figure", titled)
    save_small_models(tmp_path)
    result = small_run(
        tmp_path, tmp_path / "search", data=str(photos), generations=1, population=4, jobs=1
    )
    assert result.queries_note == NOTE
    assert NOTE in str(result)
    assert json.loads((tmp_path / "search" / "result.json").read_bytes())["queries_note"] == NOTE
    assert titles[0].endswith(f"\n{NOTE}")


def test_labelled_photos_have_no_note() -> None:
    assert load_dataset("emoji").retrieval("validation").notes == ()
