"""A gallery as an ONNX file and as a table: training, hold-out, search and evaluation with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import edgecmp.training.supernet as supernet_module
from edgecmp import Architecture, UserError
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.data import ImageSet
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.gallery.open import open_gallery
from edgecmp.gallery.source import GallerySource, ModelSource, TableSource, open_source
from edgecmp.preprocessing import Preprocessing
from edgecmp.search import run
from edgecmp.search.evaluation.supernet import open_evaluator
from edgecmp.training.recipes import supernet_recipe
from edgecmp.training.supernet import train_supernet
from tests.fixtures.small_search import SIZE, save_small_models, small_emoji

DATA = "small-emoji"
FORMS = ("onnx", "table")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a bundle, gallery.onnx and its onnx.toml, and table.toml for DATA."""
    folder = tmp_path_factory.mktemp("models")
    save_small_models(folder)
    bundle = GalleryBundle.load(folder / "gallery")
    torch.onnx.export(
        bundle.network,
        (torch.zeros(2, 3, SIZE, SIZE),),
        folder / "gallery.onnx",
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    half = "mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n"
    (folder / "onnx.toml").write_text(f'onnx = "gallery.onnx"\n{half}')
    write_table(folder / "table.toml", bundle, _train(), _gallery(), _queries())
    Architecture.random("100M", seed=0, input_size=SIZE).save(folder / "architecture.json")
    return folder


def _train() -> ImageSet:
    return small_emoji().train


def _gallery() -> ImageSet:
    return small_emoji().retrieval("validation").gallery


def _queries() -> ImageSet:
    return small_emoji().retrieval("validation").queries


def write_table(toml: Path, bundle: GalleryBundle, *parts: ImageSet) -> None:
    """A table of these images beside its description."""
    keys = [key for part in parts for key in part.keys]
    values = np.concatenate([ModelSource(bundle).embeddings(part) for part in parts])
    np.savez(toml.with_suffix(".npz"), keys=np.array(keys), embeddings=values)
    toml.write_text(f'table = "{toml.stem}.npz"\n')


def _open(models: Path, form: str) -> GallerySource:
    return open_source(models / f"{form}.toml")


@pytest.mark.parametrize("form", FORMS)
def test_its_embeddings_are_those_of_the_model(form: str, models: Path) -> None:
    bundle, source = ModelSource(GalleryBundle.load(models / "gallery")), _open(models, form)
    few = _train().subset(np.array([5, 1, 1, 9]))
    np.testing.assert_allclose(source.embeddings(few), bundle.embeddings(few), atol=1e-5)
    assert source.embedding_dim == 128
    assert source.sha256 != bundle.sha256


def test_a_file_embeds_the_inputs_of_a_query_network(models: Path) -> None:
    """Of the same network, with other means for the query network: the same but for rounding."""
    bundle, file = ModelSource(GalleryBundle.load(models / "gallery")), _open(models, "onnx")
    other = Preprocessing(input_size=SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    assert file.same_pixels(other)
    assert not file.same_pixels(Preprocessing(input_size=64))
    images = other.normalise(_train().pixels(other, np.arange(6)))
    exact = file.embeddings(_train().subset(np.arange(6)))
    np.testing.assert_allclose(file.embed_normalised(images, other).numpy(), exact, atol=1e-5)
    np.testing.assert_allclose(
        bundle.embed_normalised(images, other).numpy(), exact, atol=0.02
    )  # bfloat16
    planes = torch.from_numpy(_train().pixels(other, np.arange(6))).permute(0, 3, 1, 2).float()
    np.testing.assert_allclose(file.embed_planes(planes.clone()).numpy(), exact, atol=1e-5)
    np.testing.assert_allclose(bundle.embed_planes(planes.clone()).numpy(), exact, atol=0.02)


@pytest.mark.parametrize(
    ("form", "method"),
    [("onnx", "imitation"), ("table", "regression-cosine"), ("table", "bct")],
)
def test_query_networks_train_against_it_and_are_tied_to_it(
    form: str, method: str, models: Path, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    gallery = models / f"{form}.toml"
    result = edgecmp(
        *("train", "query", "--recipe", "tiny", "--method", method, "--gallery", gallery),
        *("--architecture", models / "architecture.json", "--data", DATA, "--out", tmp_path),
    )
    assert result.code == 0, result.err
    bundle = QueryBundle.load(tmp_path)
    assert bundle.gallery_sha256 == _open(models, form).sha256
    assert bundle.manifest.recipe["methods"][0]["name"] == method
    report = evaluate_retrieval(tmp_path, gallery=gallery, data=DATA, split="validation")
    assert [row["protocol"] for row in report.rows] == ["gg", "qq", "qg"]
    with pytest.raises(UserError, match="another gallery model"):
        evaluate_retrieval(tmp_path, gallery=models / "gallery", data=DATA, split="validation")


def test_a_table_refuses_imitation_on_the_command_line(
    models: Path, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    result = edgecmp(
        *("train", "query", "--recipe", "tiny", "--gallery", models / "table.toml"),
        *("--architecture", models / "architecture.json", "--data", DATA, "--out", tmp_path),
    )
    assert result.code == 2
    assert "imitation needs the network itself" in result.err
    assert "regression-cosine" in result.err


def test_a_supernet_trains_against_a_table_and_is_searched(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)
    recipe = supernet_recipe("tiny")
    recipe = replace(recipe, seed_schedule=None, watched=1)
    gallery = models / "table.toml"
    train_supernet(recipe, gallery=gallery, data=DATA, out=tmp_path / "supernet")
    supernet = SupernetBundle.load(tmp_path / "supernet")
    assert supernet.gallery_sha256 == _open(models, "table").sha256
    result = run(
        "95M",
        out=tmp_path / "search",
        supernet=tmp_path / "supernet",
        gallery=gallery,
        data=DATA,
        population=3,
        generations=1,
    )
    assert result.architecture.embedding_dim == 128


@pytest.mark.parametrize("form", FORMS)
def test_candidates_get_the_rewards_that_they_get_with_the_model(form: str, models: Path) -> None:
    supernet = SupernetBundle.load(models / "supernet")
    architecture = Architecture.random("100M", seed=4, input_size=SIZE)
    rewards = []
    for path in (models / "gallery", models / f"{form}.toml"):
        source = open_source(path)
        made_for = supernet.manifest.model_copy(update={"gallery_sha256": source.sha256})
        evaluator = open_evaluator(replace(supernet, manifest=made_for), gallery=path, data=DATA)
        assert evaluator.to_dict()["gallery_sha256"] == source.sha256
        rewards.append(evaluator.evaluate(architecture))
    assert rewards[0] == rewards[1]


def test_a_table_of_the_gallery_alone_evaluates_without_the_paragon(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = GalleryBundle.load(models / "gallery")
    write_table(tmp_path / "few.toml", bundle, _gallery())
    network = Architecture.random("100M", seed=1, input_size=SIZE).build().eval()
    manifest = bundle.manifest.model_copy(update={"kind": "query", "network": {}})
    QueryBundle(network=network, manifest=manifest).save(tmp_path / "query")
    report = evaluate_retrieval(
        tmp_path / "query", gallery=tmp_path / "few.toml", data=DATA, split="validation"
    )
    assert [row["protocol"] for row in report.rows] == ["qq", "qg"]
    assert f"no embedding for {len(_queries())} of the {len(_queries())} queries" in (
        capsys.readouterr().err
    )
    write_table(tmp_path / "fewer.toml", bundle, _gallery().subset(np.arange(2)))
    with pytest.raises(UserError, match=r"no embedding for 9 of the 11 images of emoji"):
        evaluate_retrieval(
            tmp_path / "query", gallery=tmp_path / "fewer.toml", data=DATA, split="validation"
        )


def test_a_table_is_refused_where_the_network_is_needed(models: Path) -> None:
    assert isinstance(_open(models, "table"), TableSource)
    with pytest.raises(
        UserError, match="describes a table of embeddings, but this command needs the network"
    ):
        open_gallery(models / "table.toml")
