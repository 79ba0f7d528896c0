"""SquaredDistance against numpy, and twice the cosine regression on unit vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgecmp.losses import EmbeddingRegression, SquaredDistance


def test_it_is_its_formula_and_its_gradient() -> None:
    random = np.random.default_rng(0)
    embeddings, targets = random.normal(size=(2, 5, 8))
    given = torch.from_numpy(embeddings).requires_grad_()
    loss = SquaredDistance()(given, torch.from_numpy(targets))
    expected = sum(float(d @ d) for d in embeddings - targets) / 5
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), 2 * (embeddings - targets) / 5, rtol=1e-12)


def test_on_unit_vectors_it_is_twice_the_cosine_regression() -> None:
    one, other = (F.normalize(torch.randn(6, 8), dim=1) for _ in range(2))
    torch.testing.assert_close(SquaredDistance()(one, other), 2 * EmbeddingRegression()(one, other))
