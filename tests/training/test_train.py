"""Training end to end on a small folder of images: bundles, seeds, refusals."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

import edgecmp.training.supernet as supernet_module
from edgecmp import Architecture, UserError
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.data import load_dataset
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.networks.embed import embed
from edgecmp.training.augment import Augmentation
from edgecmp.training.fields import document_of
from edgecmp.training.gallery import train_gallery
from edgecmp.training.methods import METHODS, method_named
from edgecmp.training.query import train_query
from edgecmp.training.recipes import (
    GALLERY_RECIPES,
    QUERY_RECIPES,
    SUPERNET_RECIPES,
    gallery_recipe,
    query_recipe,
    supernet_recipe,
)
from edgecmp.training.schedule import Schedule
from edgecmp.training.supernet import train_supernet
from tests.fixtures.identity_folders import write_identities

NONE = Augmentation(
    rotation=0, scale=0, stretch=0, shift=0, brightness=0, contrast=0, saturation=0, hue=0
)
SPLITS = {"train": 8, "validation": 10, "test": 6}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_identities(tmp_path_factory.mktemp("images"), SPLITS))


@pytest.fixture(scope="module")
def gallery(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gallery")
    train_gallery(gallery_recipe("tiny"), out=out, data=data)
    return out


def test_a_gallery_bundle_has_its_classifier_and_says_what_it_is(gallery: Path) -> None:
    bundle = GalleryBundle.load(gallery)
    assert bundle.classifier.shape == (SPLITS["train"], 128)
    torch.testing.assert_close(
        bundle.classifier.norm(dim=1), torch.ones(SPLITS["train"]), atol=2e-3, rtol=0
    )
    assert bundle.manifest.recipe["seed"] == 0
    assert bundle.manifest.metrics["holdout_gg"]["protocol"] == "gg"
    assert bundle.manifest.provenance["torch"] == torch.__version__


def test_a_gallery_model_starts_from_another_with_four_rotations(
    data: str, gallery: Path, tmp_path: Path
) -> None:
    recipe = replace(gallery_recipe("tiny"), quarter_turns=True)
    still = replace(recipe, schedule=replace(recipe.schedule, lr=0.0))
    train_gallery(still, out=tmp_path / "rotated", start=gallery, data=data)
    first, rotated = GalleryBundle.load(gallery), GalleryBundle.load(tmp_path / "rotated")
    assert rotated.classifier.shape == (4 * SPLITS["train"], 128)
    assert rotated.manifest.recipe["start_sha256"] == first.sha256
    for one, other in zip(first.network.parameters(), rotated.network.parameters(), strict=True):
        assert torch.equal(one, other)  # at a learning rate of zero
    train = load_dataset(data).train
    embeddings = embed(first.network, train.pixels(first.preprocessing), first.preprocessing)
    upright = rotated.classifier[: SPLITS["train"]].numpy()
    means = [embeddings[train.identities == identity].mean(0) for identity in range(len(upright))]
    for mean, row in zip(means, upright, strict=True):
        assert mean @ row / np.linalg.norm(mean) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(
        UserError, match="with 128 embedding values, but the recipe trains a resnet18s with 64"
    ):
        train_gallery(replace(recipe, embedding_dim=64), out=tmp_path / "x", start=gallery)


def test_a_query_network_is_tied_to_its_gallery_model(
    data: str, gallery: Path, tmp_path: Path
) -> None:
    architecture = Architecture.random("100M", seed=0)
    train_query(
        query_recipe("tiny"),
        architecture=architecture,
        gallery=gallery,
        out=tmp_path / "query",
        data=data,
    )
    bundle = QueryBundle.load(tmp_path / "query")
    assert bundle.manifest.gallery_sha256 == GalleryBundle.load(gallery).sha256
    assert bundle.architecture == replace(architecture, input_size=32)
    report = evaluate_retrieval(tmp_path / "query", gallery=gallery, data=data)
    assert [row["protocol"] for row in report.rows] == ["gg", "qq", "qg"]
    other = tmp_path / "other"
    train_gallery(gallery_recipe("tiny"), out=other, data=data, seed=1)
    with pytest.raises(UserError, match="another gallery model"):
        evaluate_retrieval(tmp_path / "query", gallery=other, data=data)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_is_recorded(
    name: str, data: str, gallery: Path, tmp_path: Path
) -> None:
    recipe = query_recipe("tiny", method=name)
    schedule = Schedule(epochs=2, optimizer="adamw", lr=1e-3)
    report = train_query(
        replace(recipe, schedule=schedule, augmentation=NONE),
        architecture=Architecture.random("100M", seed=0),
        gallery=gallery,
        out=tmp_path,
        data=data,
    )
    assert all(np.isfinite(record["loss"]) for record in report.records)
    (method,) = QueryBundle.load(tmp_path).manifest.recipe["methods"]
    assert method == document_of(method_named(name))
    assert method["name"] == name


def test_procrustes_is_scratch_rotated_to_the_gallery(
    data: str, gallery: Path, tmp_path: Path
) -> None:
    for name in ("scratch", "procrustes"):
        train_query(
            query_recipe("tiny", method=name),
            architecture=Architecture.random("100M", seed=0),
            gallery=gallery,
            out=tmp_path / name,
            data=data,
        )
    train = load_dataset(data).train
    pixels = train.pixels(GalleryBundle.load(gallery).preprocessing)
    theirs = GalleryBundle.load(gallery).embed(pixels)
    plain, rotated = (
        QueryBundle.load(tmp_path / name).embed(pixels) for name in ("scratch", "procrustes")
    )
    rotation, _ = orthogonal_procrustes(plain.astype(np.float64), theirs.astype(np.float64))
    np.testing.assert_allclose(rotated, plain @ rotation, atol=2e-3)  # weights are in float16
    np.testing.assert_allclose(rotated @ rotated.T, plain @ plain.T, atol=4e-3)
    assert (rotated * theirs).sum() > (plain * theirs).sum() + 1


def test_procrustes_is_not_for_supernets(data: str, gallery: Path, tmp_path: Path) -> None:
    recipe = replace(supernet_recipe("tiny"), methods=(method_named("procrustes"),))
    with pytest.raises(
        UserError, match=r"procrustes changes a network after its.*with --method procrustes"
    ):
        train_supernet(recipe, gallery=gallery, out=tmp_path, data=data)


@pytest.mark.parametrize(("vanilla", "protocol"), [(False, "M(q,g)"), (True, "M(q,q)")])
def test_a_supernet_at_chance_is_refused_and_not_written(
    vanilla: bool,
    protocol: str,
    data: str,
    gallery: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A vanilla supernet does not use the gallery, so M(q,q) is what counts."""
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 100.0)
    monkeypatch.setattr(supernet_module, "LARGEST_CHANCE", 100.0)  # as on a hold-out of its size
    recipe = supernet_recipe("tiny")
    if vanilla:
        recipe = replace(recipe, seed_schedule=None, methods=(method_named("scratch"),))
    with pytest.raises(
        UserError, match=rf"near chance: their hold-out {re.escape(protocol)} top-1 is"
    ):
        train_supernet(recipe, gallery=gallery, out=tmp_path, data=data)
    assert not (tmp_path / "manifest.json").exists()


def test_a_supernet_hands_out_subnets(
    data: str, gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)
    train_supernet(supernet_recipe("tiny"), gallery=gallery, out=tmp_path, data=data)
    assert SupernetBundle.load(tmp_path).gallery_sha256 == GalleryBundle.load(gallery).sha256
    train_query(
        query_recipe("tiny"),
        architecture=Architecture.random("100M", seed=0),
        gallery=gallery,
        supernet=tmp_path,
        out=tmp_path / "query",
        data=data,
    )
    assert QueryBundle.load(tmp_path / "query").architecture.input_size == 32


@pytest.mark.slow
def test_a_supernet_starts_from_another(
    data: str, gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)
    recipe = replace(supernet_recipe("tiny"), seed_schedule=None)
    train_supernet(recipe, gallery=gallery, out=tmp_path / "first", data=data)
    still = replace(recipe, schedule=replace(recipe.schedule, lr=0.0))
    train_supernet(
        still, gallery=gallery, out=tmp_path / "second", start=tmp_path / "first", data=data
    )
    first, second = (SupernetBundle.load(tmp_path / name) for name in ("first", "second"))
    assert second.manifest.recipe["start_sha256"] == first.sha256
    for one, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_query_network_starts_from_another(data: str, gallery: Path, tmp_path: Path) -> None:
    architecture = Architecture.random("100M", seed=0)
    recipe = query_recipe("tiny")
    first = tmp_path / "first"
    train_query(recipe, architecture=architecture, gallery=gallery, out=first, data=data)
    imitate = replace(query_recipe("emoji-imitate"), input_size=32)
    still = replace(imitate, schedule=replace(imitate.schedule, epochs=1, lr=0.0))
    train_query(
        still,
        architecture=first / "architecture.json",
        gallery=gallery,
        start=first,
        out=tmp_path / "second",
        data=data,
    )
    one, other = QueryBundle.load(first), QueryBundle.load(tmp_path / "second")
    assert other.manifest.recipe["start_sha256"] == one.sha256
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)
    others = Architecture.random("100M", seed=1)
    with pytest.raises(UserError, match="another architecture"):
        train_query(
            recipe, architecture=others, gallery=gallery, start=first, out=tmp_path / "x", data=data
        )
    with pytest.raises(UserError, match="not from both"):
        train_query(
            recipe,
            architecture=architecture,
            gallery=gallery,
            supernet=first,
            start=first,
            out=tmp_path / "x",
            data=data,
        )


def test_imitation_learns_from_a_gallery_model_of_another_size(
    data: str, gallery: Path, tmp_path: Path
) -> None:
    """The gallery model reads 32 pixels, the query network 48."""
    recipe = query_recipe("tiny", method="imitation")
    report = train_query(
        replace(recipe, input_size=48, schedule=Schedule(epochs=3, batch_size=16, lr=0.02)),
        architecture=Architecture.random("100M", seed=0),
        gallery=gallery,
        out=tmp_path,
        data=data,
    )
    assert QueryBundle.load(tmp_path).preprocessing.input_size == 48
    assert GalleryBundle.load(gallery).preprocessing.input_size == 32
    assert report.records[-1]["loss"] < report.records[0]["loss"]


@pytest.mark.parametrize("change", ["truncate", "tamper", "swap"])
def test_broken_bundles_are_refused(change: str, data: str, gallery: Path, tmp_path: Path) -> None:
    train_query(
        query_recipe("tiny"),
        architecture=Architecture.random("100M", seed=0),
        gallery=gallery,
        out=tmp_path,
        data=data,
    )
    weights = tmp_path / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    if change == "truncate":
        weights.write_bytes(content[: len(content) // 2])
        match = "truncated or was changed"
    elif change == "tamper":
        content[-5] ^= 0xFF
        weights.write_bytes(content)
        match = "not those that its manifest.json names"
    else:
        Architecture.random("100M", seed=1).save(tmp_path / "architecture.json")
        match = "architecture.json in .* was changed after it was written"
    with pytest.raises(UserError, match=match):
        QueryBundle.load(tmp_path)


def test_every_recipe_is_found_by_name_and_a_typo_is_met_with_the_list() -> None:
    for name in GALLERY_RECIPES:
        assert gallery_recipe(name).schedule.epochs > 0
    for name in SUPERNET_RECIPES:
        assert supernet_recipe(name).phases[-1].until == 1.0
    for name in QUERY_RECIPES:
        assert query_recipe(name).schedule.epochs > 0
    with pytest.raises(UserError, match=r"Did you mean emoji.*face-330M"):
        supernet_recipe("emojis")


def test_a_file_has_its_input_size_and_a_form_gets_the_recipes(
    data: str, gallery: Path, tmp_path: Path
) -> None:
    recipe = replace(query_recipe("tiny"), methods=(method_named("regression-cosine"),))
    architecture = Architecture.random("100M", seed=0, input_size=48)
    path = architecture.save(tmp_path / "architecture.json")
    for given, size in ((path, 48), (architecture, 32)):
        out = tmp_path / str(size)
        train_query(recipe, architecture=given, gallery=gallery, out=out, data=data)
        bundle = QueryBundle.load(out)
        assert bundle.architecture.input_size == bundle.preprocessing.input_size == size
