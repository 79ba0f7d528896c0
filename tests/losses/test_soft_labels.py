"""SoftLabels against scipy's relative entropy, and its gradient by its closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from edgecmp.losses import SoftLabels


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_it_is_its_formula_and_its_gradient(temperature: float) -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=(2, 5, 7)) * 3
    given = torch.from_numpy(ours).requires_grad_()
    loss = SoftLabels(temperature=temperature)(given, torch.from_numpy(theirs))
    q, p = softmax(ours / temperature, 1), softmax(theirs / temperature, 1)
    assert loss.item() == pytest.approx(temperature**2 * entropy(p, q, axis=1).mean(), rel=1e-10)
    loss.backward()
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), temperature * (q - p) / 5, atol=1e-12)


def test_it_is_zero_for_equal_logits() -> None:
    logits = torch.randn(4, 6)
    assert SoftLabels()(logits, logits).item() == pytest.approx(0.0, abs=1e-6)
