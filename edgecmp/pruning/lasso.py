"""Which input channels of a convolution to keep, by LASSO (He et al. 2017).

With Z_i = X_i W_i^T, the part of the responses that channel i alone gives, it solves

    min over beta of  1/2 ||Y - sum_i beta_i Z_i||^2 + alpha ||beta||_1

for that alpha which leaves the wanted number of channels with beta_i != 0. All of it depends on
Z^T Z (C, C) and Z^T Y (C,) only, whatever the number of samples, so that is all that is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Lasso

__all__ = ["Moments", "select_channels"]

Floats = NDArray[np.float64]
Moments = tuple[Floats, Floats]
"""Z^T Z (C, C) and Z^T Y (C,)."""

ROUNDS = 60
"""Halvings of the interval that holds alpha."""


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
    """The `keep` channels that LASSO leaves, ascending.

    Args:
        gram: Z^T Z, (C, C).
        cross: Z^T Y, (C,).
        keep: how many, from 1 to C.
    """
    beta = _path(gram, cross, keep)
    return np.sort(np.argsort(-np.abs(beta), kind="stable")[:keep])


def _path(gram: Floats, cross: Floats, keep: int) -> Floats:
    """The coefficients (C,) at the largest alpha found that leaves at least `keep` of them.

    Two channels may leave at the same alpha; then a few more than `keep` stay.
    """
    beta = np.zeros(len(gram))
    live = gram.diagonal() > 0  # the others answer nothing to any sample
    if live.any():
        beta[live] = _search(*_square_root(gram[np.ix_(live, live)], cross[live]), keep)
    return beta


def _search(design: Floats, target: Floats, keep: int) -> Floats:
    """The same for a LASSO of R rows, by halving the interval that holds alpha."""
    # no warm start: sklearn may then stop before its first sweep and let no channel in
    solver = Lasso(fit_intercept=False, precompute=True, max_iter=20_000, tol=1e-6)
    # sklearn divides the square by the rows, so its alpha is ours over them
    low, high = 0.0, float(np.abs(design.T @ target).max()) / len(design)
    best: Floats = np.linalg.lstsq(design, target, rcond=None)[0]  # at an alpha of nothing
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
