"""`edgecmp prune`: what it prints and writes, and that its network can be trained further."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle
from edgecmp.data import load_dataset
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.networks.fvcore_flops import count_fvcore
from edgecmp.networks.pruned import Pruned
from edgecmp.pruning import METHODS, prune
from edgecmp.training.methods import Imitation
from edgecmp.training.query import train_query
from edgecmp.training.recipes import query_recipe
from tests.fixtures.pruning_networks import PREPROCESSING, drawings, random_gallery

Edgecmp = Callable[..., Any]
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight drawings per split, each an identity of three shifted copies."""
    folder = tmp_path_factory.mktemp("images")
    for place, picture in enumerate(drawings(24)):
        target = folder / SPLITS[place % 3] / f"identity{place:02d}"
        target.mkdir(parents=True)
        for shift in range(3):
            Image.fromarray(np.roll(picture, shift, axis=1)).save(target / f"{shift}.png")
    return folder


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    random_gallery("resnet26s", embedding_dim=128).save(folder)
    return folder


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_query_network_is_written(
    method: str, data: Path, gallery: Path, tmp_path: Path, edgecmp: Edgecmp
) -> None:
    out, report = tmp_path / "pruned", tmp_path / "report.json"
    flags = ("--method", method, "--amount", 0.7, "--gallery", gallery, "--data", data, "--seed", 5)
    done = edgecmp("prune", *flags, "--out", out, "--json", report)
    assert done.code == 0, done.err
    assert "resnet26s -70%" in done.out
    bundle, whole = QueryBundle.load(out), GalleryBundle.load(gallery)
    assert bundle.architecture == Pruned.of("resnet26s", 0.7, input_size=32)
    assert bundle.gallery_sha256 == whole.sha256
    assert bundle.preprocessing == whole.preprocessing
    assert bundle.manifest.recipe == {"method": method, "amount": 0.7, "images": 24, "seed": 5}

    train = load_dataset(str(data)).train
    _, network = prune(whole, method, 0.7, images=train.pixels(PREPROCESSING), seed=5)
    images = drawings(16)
    again = QueryBundle(network=network, manifest=bundle.manifest).embed(images)
    np.testing.assert_array_equal(bundle.embed(images), again)

    before, after = json.loads(report.read_text())["rows"]
    assert before["params"] == sum(p.numel() for p in whole.network.parameters())
    assert after["flops_224"] == count_fvcore(network, 224).flops < before["flops_224"]
    assert before["qq_top1"] == before["qg_top1"]
    assert after["qg_top1"] == bundle.manifest.metrics["holdout"]["qg_top1"]


def test_its_network_can_be_trained_and_evaluated(
    data: Path, gallery: Path, tmp_path: Path, edgecmp: Edgecmp
) -> None:
    flags = ("--gallery", gallery, "--data", data, "--method", "channel", "--amount", 0.9)
    assert edgecmp("prune", *flags, "--out", tmp_path / "pruned").code == 0
    recipe = replace(query_recipe("tiny"), methods=(Imitation(weight=10.0),))
    train_query(
        recipe,
        architecture=tmp_path / "pruned" / "architecture.json",
        gallery=gallery,
        start=tmp_path / "pruned",
        out=tmp_path / "query",
        data=str(data),
    )
    start, trained = QueryBundle.load(tmp_path / "pruned"), QueryBundle.load(tmp_path / "query")
    assert trained.architecture == start.architecture
    assert trained.manifest.recipe["start_sha256"] == start.sha256
    assert trained.sha256 != start.sha256
    assert evaluate_retrieval(tmp_path / "query", gallery=gallery, data=str(data)).queries > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--method", "chanel"), "Did you mean channel?"),
        (("--amount", 1), "A share of 1 of the filters cannot be pruned. Set --amount"),
    ],
)
def test_a_mistake_is_named(
    flags: tuple[Any, ...],
    message: str,
    data: Path,
    gallery: Path,
    tmp_path: Path,
    edgecmp: Edgecmp,
) -> None:
    where = ("--gallery", gallery, "--data", data, "--out", tmp_path / "pruned")
    done = edgecmp("prune", *flags, *where)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "pruned").exists()
