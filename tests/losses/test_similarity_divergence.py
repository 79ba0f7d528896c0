"""SimilarityDivergence against loops and scipy, its gradient, and its zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import entropy

from edgecmp.losses import SimilarityDivergence


def _unit(random: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    values = random.normal(size=shape)
    unit: NDArray[np.float64] = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return unit


def test_it_is_its_formula_and_its_gradient() -> None:
    random = np.random.default_rng(0)
    ours, theirs, anchors = _unit(random, 4, 8), _unit(random, 4, 8), _unit(random, 4, 5, 8)
    loss = SimilarityDivergence(query_temperature=0.2, gallery_temperature=0.05)
    total = 0.0
    for q, g, near in zip(ours, theirs, anchors, strict=True):
        s, t = [float(q @ n) / 0.2 for n in near], [float(g @ n) / 0.05 for n in near]
        total += entropy(softmax(t), softmax(s))
    similarities = torch.from_numpy(np.einsum("nd,nkd->nk", theirs, anchors))
    given = torch.from_numpy(np.einsum("nd,nkd->nk", ours, anchors)).requires_grad_()
    found = loss(given, similarities)
    assert found.item() == pytest.approx(total / 4, rel=1e-10)
    assert torch.autograd.gradcheck(lambda ours: loss(ours, similarities), (given,))
    shifted = loss(given + torch.rand(4, 1), similarities)
    assert shifted.item() == pytest.approx(found.item(), rel=1e-6)


def test_it_is_zero_at_the_gallerys_similarities_for_equal_temperatures() -> None:
    theirs = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (3, 6))).requires_grad_()
    loss = SimilarityDivergence()(theirs, theirs.detach())
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert theirs.grad is not None
    assert theirs.grad.abs().max() < 1e-12
