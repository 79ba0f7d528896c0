"""Each method's loss against its formula in numpy, computed from the gallery's outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.special import log_softmax, softmax
from scipy.stats import entropy, ortho_group
from torch import Tensor

from edgecmp.errors import UserError
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.methods import (
    CSD,
    KD,
    METHODS,
    BackwardCompatible,
    D3still,
    FineTune,
    Imitation,
    Method,
    RegressionCosine,
    RegressionMSE,
    Scratch,
    Similarities,
    method_named,
)
from edgecmp.training.methods.procrustes import orthogonal_map
from edgecmp.training.shown import Shown
from tests.fixtures.small_training import DIM, PREPROCESSING, TRAIN, small_gallery, supervised

Floats = NDArray[np.float64]

GALLERY = small_gallery()
LABELS = TRAIN.identities
PIXELS = TRAIN.pixels(PREPROCESSING)
IMAGES = PREPROCESSING.normalise(PIXELS)
SHOWN = Shown(IMAGES, torch.arange(12))
THEIRS = GALLERY.embed(PIXELS).astype(np.float64)
OURS = F.normalize(torch.randn(12, DIM, generator=torch.Generator().manual_seed(3)), dim=1)
Q = OURS.numpy().astype(np.float64)


def _loss(method: Method) -> tuple[float, CompatibleLoss]:
    criterion = CompatibleLoss([method], supervised(GALLERY))
    return _value(criterion, SHOWN), criterion


def _value(criterion: CompatibleLoss, shown: Shown) -> float:
    found: Tensor = criterion(OURS, criterion.prepared(shown, torch.Generator()))
    return found.item()


def _rows(weight: Tensor) -> Floats:
    rows: Floats = F.normalize(weight.detach().double(), dim=1).numpy()
    return rows


def _margin(rows: Floats, margin: float) -> float:
    """CosFace at scale 24."""
    cosines = Q @ rows.T
    cosines[np.arange(12), LABELS] -= margin
    return float(-log_softmax(24 * cosines, 1)[np.arange(12), LABELS].mean())


def _own(criterion: CompatibleLoss) -> Floats:
    part: Any = criterion.losses[0]
    return _rows(part.own.weight)


def test_scratch_and_procrustes_are_a_margin_softmax() -> None:
    for name in ("scratch", "procrustes"):
        found, criterion = _loss(method_named(name))
        assert found == pytest.approx(_margin(_own(criterion), 0.2), rel=1e-5)


def test_fine_tuning_starts_at_the_gallerys_classifier_and_trains_it() -> None:
    found, criterion = _loss(FineTune())
    assert found == pytest.approx(_margin(_rows(GALLERY.classifier), 0.2), rel=1e-5)
    (weight,) = criterion.parameters()
    assert weight.requires_grad
    assert weight.data_ptr() != GALLERY.classifier.data_ptr()


def test_kd_is_a_margin_softmax_and_soft_labels_of_the_same_images() -> None:
    found, criterion = _loss(KD(own=0.5, weight=2.0, temperature=3.0))
    rows = _own(criterion)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        embeddings = GALLERY.network(IMAGES).double().numpy()
    theirs = softmax(24 * embeddings @ _rows(GALLERY.classifier).T / 3, 1)
    soft = 9 * entropy(theirs, softmax(24 * Q @ rows.T / 3, 1), axis=1).mean()
    assert found == pytest.approx(0.5 * _margin(rows, 0.2) + 2 * soft, rel=1e-4)


def test_bct_is_both_softmaxes() -> None:
    found, criterion = _loss(BackwardCompatible(bct=0.7, bct_margin=0.1))
    expected = _margin(_own(criterion), 0.2) + 0.7 * _margin(_rows(GALLERY.classifier), 0.1)
    assert found == pytest.approx(expected, rel=1e-5)


def test_regressions_target_the_embeddings_of_images_without_augmentation() -> None:
    cosines = (Q * THEIRS).sum(1)
    assert _loss(RegressionCosine())[0] == pytest.approx(10 * (1 - cosines).mean(), rel=1e-5)
    assert _loss(RegressionMSE())[0] == pytest.approx(20 * (1 - cosines).mean(), rel=1e-5)


def test_imitation_targets_the_embeddings_of_the_networks_inputs() -> None:
    criterion = CompatibleLoss([Imitation(mixed=0.0)], supervised(GALLERY))
    seen = IMAGES.flip(3)
    theirs = GALLERY.embed(PIXELS[:, :, ::-1].copy())
    expected = 10 * (1 - (Q * theirs).sum(1)).mean()
    found = _value(criterion, Shown(seen, torch.arange(12)))
    assert found == pytest.approx(expected, rel=1e-2)  # the target is computed in bfloat16


def _nearest(count: int) -> list[NDArray[np.intp]]:
    return [np.argsort(-row, kind="stable")[:count] for row in THEIRS @ THEIRS.T]


def test_csd_compares_similarities_to_the_nearest() -> None:
    found, _ = _loss(CSD(weight=3.0, neighbours=6, query_temperature=0.2))
    total = [
        entropy(softmax(THEIRS[near] @ g / 0.1), softmax(THEIRS[near] @ q / 0.2))
        for q, g, near in zip(Q, THEIRS, _nearest(6), strict=True)
    ]
    assert found == pytest.approx(3 * np.mean(total), rel=1e-4)


def test_similarities_compares_those_to_the_batch_and_to_others() -> None:
    found, criterion = _loss(Similarities(weight=2.0, anchors=100, temperature=0.3))
    anchors = np.concatenate([THEIRS, THEIRS])  # the batch, and all training images
    rows = zip(Q @ anchors.T, THEIRS @ anchors.T, strict=True)
    total = [entropy(softmax(theirs / 0.3), softmax(ours / 0.3)) for ours, theirs in rows]
    assert found == pytest.approx(2 * np.mean(total), rel=1e-4)
    taught = Shown(IMAGES, torch.arange(12), targets=F.normalize(torch.ones(12, DIM), dim=1))
    rows = zip(Q @ anchors.T, taught.targets.numpy() @ anchors.T, strict=True)  # type: ignore[union-attr]
    total = [entropy(softmax(theirs / 0.3), softmax(ours / 0.3)) for ours, theirs in rows]
    assert _value(criterion, taught) == pytest.approx(2 * np.mean(total), rel=1e-4)


def test_similarities_draws_other_images_in_each_step_and_the_same_ones_again() -> None:
    criterion = CompatibleLoss([Similarities(anchors=2)], supervised(GALLERY))
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        runs.append([_value(criterion, SHOWN) for _ in range(5)])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 1


def test_d3still_is_regression_and_differences_among_the_nearest_others() -> None:
    found, _ = _loss(D3still(feature=4.0, inverted=3.0, agreeing=0.5, neighbours=5))
    total = []
    for q, g, near in zip(Q, THEIRS, _nearest(6), strict=True):
        s, t = THEIRS[near[1:]] @ q, THEIRS[near[1:]] @ g
        mine, yours = np.subtract.outer(s, s), np.subtract.outer(t, t)
        squares = ((mine - yours) / (0.1 + np.abs(yours))) ** 2
        inverted = np.sqrt((squares * (mine * yours < 0)).mean())
        agreeing = np.sqrt((squares * (mine * yours > 0)).mean())
        total.append(4 * (1 - q @ g) + 3 * inverted + 0.5 * agreeing)
    assert found == pytest.approx(np.mean(total), rel=1e-4)


@pytest.mark.parametrize(
    "name", ["regression-mse", "regression-cosine", "similarities", "csd", "d3still"]
)
def test_gradient_descent_reaches_the_gallerys_embeddings(name: str) -> None:
    """For two of them only the similarities to 12 images, which do not fix an embedding."""
    criterion = CompatibleLoss([method_named(name)], supervised(GALLERY))
    free = OURS.clone().requires_grad_()
    optimizer = torch.optim.Adam([free], lr=0.02)
    losses = []
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 300)
        loss: Tensor = criterion(F.normalize(free, dim=1), SHOWN)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]
    if name not in ("similarities", "csd"):
        arrived = (F.normalize(free.detach(), dim=1).numpy() * THEIRS).sum(1)
        assert (Q * THEIRS).sum(1).mean() < 0.5
        assert arrived.min() > 0.97


@given(seed=st.integers(0, 1000))
def test_the_orthogonal_map_is_scipys_and_finds_a_rotation_back(seed: int) -> None:
    random = np.random.default_rng(seed)
    source = random.normal(size=(20, 6))
    target = random.normal(size=(20, 6))
    found = orthogonal_map(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    np.testing.assert_allclose(found.T, orthogonal_procrustes(source, target)[0], atol=1e-8)
    rotation = ortho_group.rvs(6, random_state=seed)
    back = orthogonal_map(torch.from_numpy(source), torch.from_numpy(source @ rotation.T))
    np.testing.assert_allclose(back.numpy(), rotation, atol=1e-10)


def test_names_defaults_and_a_typo() -> None:
    for name in METHODS:
        assert method_named(name).name == name
    assert isinstance(method_named("scratch"), Scratch)
    with pytest.raises(UserError, match=r"Unknown method 'd3stil'\. Did you mean d3still\?"):
        method_named("d3stil")


def test_help_and_docs_name_every_method(edgecmp: Callable[..., Any]) -> None:
    words = " ".join(edgecmp("train", "query", "--help").out.split())
    options = words.replace("- ", "-")  # a line may end after a hyphen
    assert f"Instead of the recipe's method: {', '.join(METHODS)}." in options
    docs = (Path(__file__).parents[3] / "docs" / "reference" / "methods.md").read_text()
    table = docs.partition("\n## ")[0].splitlines()
    rows = [line.split("`")[1] for line in table if line[:3] == "| `"]
    assert rows == list(METHODS)
