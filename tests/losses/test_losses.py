"""Each loss against its formula, written with torch's functions or by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgecmp.losses import BCT, CosFace, EmbeddingRegression


def _unit(n: int, d: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_cosface_is_its_formula(margin: float) -> None:
    embeddings, labels = _unit(6, 8, 0), torch.tensor([0, 1, 2, 3, 0, 1])
    loss = CosFace(4, 8, scale=16, margin=margin)
    cosines = F.cosine_similarity(embeddings[:, None], loss.weight.detach()[None], dim=2)
    total = 0.0
    for row, label in zip(cosines.tolist(), labels.tolist(), strict=True):
        logits = [16 * (c - margin * (j == label)) for j, c in enumerate(row)]
        total -= logits[label] - math.log(sum(math.exp(v) for v in logits))
    assert loss(embeddings, labels).item() == pytest.approx(total / 6, rel=1e-5)


def test_bct_keeps_the_gallery_classifier_frozen_and_scale_free() -> None:
    classifier = torch.randn(5, 8)
    embeddings = _unit(4, 8, 1).requires_grad_()
    labels = torch.tensor([0, 1, 2, 4])
    loss = BCT(classifier)
    loss(embeddings, labels).backward()
    assert embeddings.grad is not None
    assert embeddings.grad.abs().sum() > 0
    assert not list(loss.parameters())
    torch.testing.assert_close(loss(embeddings, labels), BCT(classifier * 3)(embeddings, labels))


def test_bct_is_smaller_at_the_gallery_classifier() -> None:
    classifier = _unit(5, 8, 2)
    labels = torch.arange(5)
    assert BCT(classifier)(classifier, labels) < BCT(classifier)(_unit(5, 8, 3), labels)


def test_regression_is_half_the_squared_distance_of_unit_vectors() -> None:
    targets, embeddings = _unit(3, 8, 4), _unit(3, 8, 5)
    expected = ((embeddings - targets) ** 2).sum(1).mean() / 2
    torch.testing.assert_close(EmbeddingRegression()(embeddings, targets), expected)
    assert EmbeddingRegression()(targets, targets).item() == pytest.approx(0, abs=1e-6)
