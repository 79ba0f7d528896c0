"""Selects the input channels of a convolution by LASSO.

With Z_i = X_i W_i^T, the contribution of channel i to the responses Y, it solves

    min over beta of  1/2 ||Y - sum_i beta_i Z_i||^2 + alpha ||beta||_1

for the alpha at which the wanted number of channels has beta_i != 0. The solution depends only on
Z^T Z (C, C) and Z^T Y (C,), whose size does not depend on the number of samples.

Source: He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017,
https://arxiv.org/abs/1707.06168.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Lasso

__all__ = ["Moments", "moments", "select_channels"]

Floats = NDArray[np.float64]
Moments = tuple[Floats, Floats]
"""Z^T Z (C, C) and Z^T Y (C,)."""

ROUNDS = 60
"""Bisection steps of the interval that contains alpha."""


def moments(inputs: Floats, responses: Floats, weight: Floats) -> Moments:
    """Z^T Z and Z^T Y without forming Z, whose rows are samples times outputs.

    <Z_i, Z_j> = <X_i^T X_j, W_i^T W_j> and <Z_i, Y> = <X_i^T Y, W_i^T>.

    Args:
        inputs: X, (P, C, K): patches of C channels and K pixels.
        responses: Y, (P, O).
        weight: W, (O, C, K).
    """
    samples, channels, pixels = inputs.shape
    flat_inputs = inputs.reshape(samples, -1)  # (P, C K)
    flat_weight = weight.reshape(len(weight), -1)  # (O, C K)
    products = (flat_inputs.T @ flat_inputs) * (flat_weight.T @ flat_weight)  # (C K, C K)
    gram = products.reshape(channels, pixels, channels, pixels).sum((1, 3))
    cross = (flat_inputs.T @ responses) * flat_weight.T  # (C K, O)
    return gram, cross.reshape(channels, -1).sum(1)


def select_channels(gram: Floats, cross: Floats, keep: int) -> NDArray[np.intp]:
    """The indices of the `keep` channels that LASSO selects, ascending.

    Args:
        gram: Z^T Z, (C, C).
        cross: Z^T Y, (C,).
        keep: number of channels, from 1 to C.
    """
    beta = _path(gram, cross, keep)
    return np.sort(np.argsort(-np.abs(beta), kind="stable")[:keep])


def _path(gram: Floats, cross: Floats, keep: int) -> Floats:
    """The coefficients (C,) at the largest alpha found with at least `keep` nonzero ones.

    Two coefficients may become zero at the same alpha; then more than `keep` are nonzero.
    """
    beta = np.zeros(len(gram))
    active = gram.diagonal() > 0  # the other channels contribute to no sample
    if active.any():
        root = _square_root(gram[np.ix_(active, active)], cross[active])
        beta[active] = _search(*root, keep)
    return beta


def _search(design: Floats, target: Floats, keep: int) -> Floats:
    """The coefficients (C,) of a LASSO with R rows, by bisection of alpha."""
    # No warm start: sklearn might then stop before its first sweep, with no channel selected.
    solver = Lasso(fit_intercept=False, precompute=True, max_iter=20_000, tol=1e-6)
    # sklearn divides the squared error by the number of rows, and so its alpha is scaled too.
    low, high = 0.0, float(np.abs(design.T @ target).max()) / len(design)
    best: Floats = np.linalg.lstsq(design, target, rcond=None)[0]  # the solution at alpha 0
    fewest = len(best) + 1
    for _ in range(ROUNDS):
        alpha = (low + high) / 2
        beta: Any = solver.set_params(alpha=alpha).fit(design, target).coef_.copy()
        left = int(np.count_nonzero(beta))
        if keep <= left < fewest:
            best, fewest = beta, left
        if left == keep:
            break
        low, high = (alpha, high) if left > keep else (low, alpha)
    return best


def _square_root(gram: Floats, cross: Floats) -> tuple[Floats, Floats]:
    """A with A^T A = Z^T Z and b with A^T b = Z^T Y: the same LASSO in at most C rows."""
    values, vectors = np.linalg.eigh(gram)
    seen = values > values[-1] * len(values) * np.finfo(np.float64).eps
    roots = np.sqrt(values[seen])
    design = roots[:, None] * vectors[:, seen].T  # (R, C)
    return design, (vectors[:, seen].T @ cross) / roots
