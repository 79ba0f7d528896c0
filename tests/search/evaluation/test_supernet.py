"""SupernetEvaluator on real images: what it measures, and that it is deterministic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgecmp.artefacts.bundle import GalleryBundle, SupernetBundle
from edgecmp.errors import UserError
from edgecmp.metrics import tar_at_far, top_k
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.embed import embed
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.search.evaluation.supernet import METRICS, SupernetEvaluator
from tests.fixtures.small_search import SIZE, save_small_models, small_emoji

NETS = [Architecture.random("100M", seed=seed, input_size=SIZE) for seed in range(3)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_small_models(folder)
    return folder


def evaluator(models: Path, *, calibration_seed: int = 0) -> SupernetEvaluator:
    return SupernetEvaluator(
        SupernetBundle.load(models / "supernet"),
        GalleryBundle.load(models / "gallery"),
        small_emoji(),
        calibration_images=48,
        calibration_seed=calibration_seed,
    )


def test_the_numbers_of_an_architecture_do_not_depend_on_the_order(models: Path) -> None:
    one, other = evaluator(models), evaluator(models)
    forward = [one.evaluate(net) for net in NETS]
    backward = [other.evaluate(net) for net in reversed(NETS)][::-1]
    assert forward == backward == [one.evaluate(net) for net in NETS]
    assert len({tuple(found.mqq.values()) for found in forward}) > 1
    assert one.to_dict() == other.to_dict()


def test_the_supernet_is_not_changed(models: Path) -> None:
    bundle = SupernetBundle.load(models / "supernet")
    before = {name: tensor.clone() for name, tensor in bundle.network.state_dict().items()}
    gallery = GalleryBundle.load(models / "gallery")
    SupernetEvaluator(bundle, gallery, small_emoji(), calibration_images=48).evaluate(NETS[0])
    assert all(torch.equal(before[name], t) for name, t in bundle.network.state_dict().items())


def test_it_measures_the_recalibrated_subnet(models: Path) -> None:
    """Against a direct computation: extract, recalibrate, embed, rank."""
    evaluating = evaluator(models)
    found = evaluating.evaluate(NETS[1])
    dataset, gallery = small_emoji(), GalleryBundle.load(models / "gallery")
    prepare = gallery.preprocessing
    network = SupernetBundle.load(models / "supernet").network.extract(NETS[1])
    recalibrate(network, evaluating.holdout.batches)
    task = dataset.retrieval("validation")
    queries = embed(network, task.queries.pixels(prepare), prepare)
    for shares, side in ((found.mqq, network), (found.mqg, gallery.network)):
        side_embeddings = embed(side, task.gallery.pixels(prepare), prepare)
        args = (queries, task.queries.identities, side_embeddings, task.gallery.identities)
        expected = top_k(*args, ks=(1, 5, 10, 50))
        for k, share in expected.items():
            assert shares[f"top{k}"] == pytest.approx(share, abs=1.5 / len(queries))
        tar = tar_at_far(*args, fars=(1e-3,))[1e-3]
        assert shares["tar"] == pytest.approx(tar, abs=1.5 / len(queries))
    assert set(found.mqq) == set(found.mqg) == set(METRICS)


def test_the_calibration_seed_selects_images_and_identifies_the_evaluator(models: Path) -> None:
    one, other = evaluator(models), evaluator(models, calibration_seed=1)
    left, right = (np.concatenate(evaluating.holdout.batches) for evaluating in (one, other))
    assert left.shape == right.shape == (48, 3, SIZE, SIZE)
    assert not np.array_equal(left, right)
    assert one.to_dict() != other.to_dict()


def test_another_gallery_model_is_refused(models: Path, tmp_path: Path) -> None:
    save_small_models(tmp_path, embedding_dim=64)
    with pytest.raises(UserError, match="trained for another gallery model"):
        SupernetEvaluator(
            SupernetBundle.load(models / "supernet"),
            GalleryBundle.load(tmp_path / "gallery"),
            small_emoji(),
        )
