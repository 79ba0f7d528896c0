"""DecoupledDifferences against loops over pairs, its gradient, and its zeros."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgecmp.losses import DecoupledDifferences


def _by_loops(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], inverted: float, agreeing: float
) -> float:
    total = 0.0
    for s, t in zip(ours, theirs, strict=True):
        squares = {True: 0.0, False: 0.0}
        for a in range(len(s)):
            for b in range(len(s)):
                mine, yours = s[a] - s[b], t[a] - t[b]
                if mine * yours != 0:
                    squares[mine * yours < 0] += ((mine - yours) / (0.1 + abs(yours))) ** 2
        pairs = len(s) ** 2
        total += inverted * math.sqrt(squares[True] / pairs)
        total += agreeing * math.sqrt(squares[False] / pairs)
    return total / len(ours)


def test_it_is_its_formula_and_its_gradient() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.uniform(-1, 1, (2, 4, 6))
    given, fixed = torch.from_numpy(ours).requires_grad_(), torch.from_numpy(theirs)
    for inverted, agreeing in ((2.0, 1.0), (0.0, 1.0), (3.0, 0.0)):
        loss = DecoupledDifferences(inverted=inverted, agreeing=agreeing)
        expected = _by_loops(ours, theirs, inverted, agreeing)
        assert loss(given, fixed).item() == pytest.approx(expected, rel=1e-10)
        assert torch.autograd.gradcheck(loss, (given, fixed))


def test_loss_and_gradient_are_zero_for_equal_similarities() -> None:
    theirs = torch.rand(3, 5, dtype=torch.float64)
    given = theirs.clone().requires_grad_()
    loss = DecoupledDifferences()(given, theirs)
    loss.backward()
    assert loss.item() == 0.0
    assert given.grad is not None
    assert torch.equal(given.grad, torch.zeros_like(theirs))


def test_a_constant_added_to_all_similarities_changes_nothing() -> None:
    ours, theirs = torch.rand(2, 3, 5, dtype=torch.float64)
    loss = DecoupledDifferences()
    torch.testing.assert_close(loss(ours + 0.3, theirs), loss(ours, theirs))
