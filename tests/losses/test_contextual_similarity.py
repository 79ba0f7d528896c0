"""ContextualSimilarity against loops and scipy, its gradient, and its zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import entropy

from edgecmp.losses import ContextualSimilarity


def _unit(random: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    values = random.normal(size=shape)
    unit: NDArray[np.float64] = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return unit


def test_it_is_its_formula_and_its_gradient() -> None:
    random = np.random.default_rng(0)
    ours, theirs, anchors = _unit(random, 4, 8), _unit(random, 4, 8), _unit(random, 4, 5, 8)
    loss = ContextualSimilarity(query_temperature=0.2, gallery_temperature=0.05)
    total = 0.0
    for q, g, near in zip(ours, theirs, anchors, strict=True):
        s, t = [float(q @ n) / 0.2 for n in near], [float(g @ n) / 0.05 for n in near]
        total += entropy(softmax(t), softmax(s))
    similarities = torch.from_numpy(np.einsum("nd,nkd->nk", theirs, anchors))
    given = torch.from_numpy(ours).requires_grad_()
    found = loss(given, torch.from_numpy(anchors), similarities)
    assert found.item() == pytest.approx(total / 4, rel=1e-10)
    assert torch.autograd.gradcheck(
        lambda e: loss(e, torch.from_numpy(anchors), similarities), (given,)
    )


def test_it_is_zero_at_the_gallerys_embeddings_for_equal_temperatures() -> None:
    random = np.random.default_rng(1)
    theirs = torch.from_numpy(_unit(random, 3, 8)).requires_grad_()
    anchors = torch.from_numpy(_unit(random, 3, 6, 8))
    loss = ContextualSimilarity()(
        theirs, anchors, torch.einsum("nd,nkd->nk", theirs.detach(), anchors)
    )
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert theirs.grad is not None
    assert theirs.grad.abs().max() < 1e-12
