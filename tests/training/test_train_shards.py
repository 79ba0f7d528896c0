"""A gallery model and a query network trained on shards, by the same commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgecmp import Architecture
from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.data import load_dataset
from edgecmp.data.shard_writer import write_shards
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.gallery.source import open_source
from edgecmp.networks.embed import embed
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.gallery import train_gallery
from edgecmp.training.methods import BackwardCompatible
from edgecmp.training.query import train_query
from edgecmp.training.recipes import gallery_recipe, query_recipe
from edgecmp.training.schedule import Schedule
from edgecmp.training.supervision import Supervision
from tests.fixtures.identity_folders import write_identities

SPLITS = {"train": 8, "validation": 4, "test": 4}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    images = load_dataset(write_identities(root / "images", SPLITS))
    write_shards(images, root / "shards", images_per_shard=5, lossless=True)
    return root / "shards"


def test_gallery_and_query_network_train_on_shards(shards: Path, tmp_path: Path) -> None:
    data = str(shards)
    train_gallery(gallery_recipe("tiny"), out=tmp_path / "gallery", data=data)
    recipe = query_recipe("tiny")
    train_query(
        replace(
            recipe,
            schedule=Schedule(epochs=1, batch_size=16, lr=0.01),
            methods=(BackwardCompatible(own=0.0),),
        ),
        architecture=Architecture.random("100M", seed=0),
        gallery=tmp_path / "gallery",
        out=tmp_path / "query",
        data=data,
    )
    report = evaluate_retrieval(tmp_path / "query", gallery=tmp_path / "gallery", data=data)
    assert [row["protocol"] for row in report.rows] == ["gg", "qq", "qg"]
    assert report.gallery_images == 4


def test_targets_of_all_training_images_are_indexed_by_their_number(
    shards: Path, tmp_path: Path
) -> None:
    """The targets of a regression are those of the same images in memory."""
    train_gallery(gallery_recipe("tiny"), out=tmp_path, data=str(shards))
    gallery = GalleryBundle.load(tmp_path)
    train = load_dataset(shards).train
    prepare = Preprocessing(input_size=32)
    targets = Supervision(open_source(tmp_path), train, prepare).embeddings
    pixels = load_dataset(shards.parent / "images").train.pixels(gallery.preprocessing)
    expected = embed(gallery.network, pixels, gallery.preprocessing)
    assert torch.equal(targets, torch.from_numpy(expected))
