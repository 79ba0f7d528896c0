"""fit_affine equals numpy's least squares, with the ridge and gain that a search by hand finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.networks.ridge import GAINS, RIDGES, fit_affine

Array = NDArray[np.float64]


def _problem(
    seed: int, rows: int, features: int, outputs: int, noise: float
) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, features)) @ random.normal(size=(features, features))
    y = (x + random.normal(0, noise, x.shape)) @ random.normal(size=(features, outputs))
    return x + random.normal(size=features), y + random.normal(size=outputs)


def _reference(x: Array, y: Array, ridge: float, variance: float) -> tuple[Array, Array]:
    """Weight (D, C) and intercept (D,) of ridge regression, as one least-squares problem.

    A row sqrt(N ridge variance) per feature is added to the centred data.
    """
    centred = x - x.mean(0)
    added = np.sqrt(len(x) * ridge * variance) * np.eye(x.shape[1])
    zeros = np.zeros((x.shape[1], y.shape[1]))
    solution, *_ = np.linalg.lstsq(
        np.concatenate([centred, added]), np.concatenate([y - y.mean(0), zeros]), rcond=None
    )
    return solution.T, y.mean(0) - x.mean(0) @ solution


def _reciprocal_rank(found: Array, wanted: Array) -> float:
    """Mean of 1 / rank of each row's own target, by the cosine to all targets."""
    scores = found @ (wanted / np.linalg.norm(wanted, axis=1, keepdims=True)).T
    ranks = [1 + (np.delete(row, own) >= row[own]).sum() for own, row in enumerate(scores)]
    return float(np.mean(1 / np.array(ranks)))


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(array)


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(6, 60),
    features=st.integers(1, 9),
    outputs=st.integers(2, 12),
    noise=st.sampled_from([0.0, 0.3, 3.0]),
)
def test_it_is_numpys_ridge_regression_with_the_best_ridge_and_gain(
    seed: int, rows: int, features: int, outputs: int, noise: float
) -> None:
    x, y = _problem(seed, rows, features, outputs, noise)
    held_out = np.arange(rows) % 3 == 0
    fit = fit_affine([_tensor(x)], _tensor(y), _tensor(held_out))
    kept_x, kept_y = x[~held_out], y[~held_out]
    ranks = []
    for ridge in RIDGES:
        weight, bias = _reference(kept_x, kept_y, ridge, kept_x.var(0).mean())
        plain, mean = x[held_out] @ weight.T + bias, kept_y.mean(0)
        ranks += [_reciprocal_rank(gain * (plain - mean) + mean, y[held_out]) for gain in GAINS]
    assert fit.rank == pytest.approx(max(ranks))
    weight, bias = _reference(x, y, fit.ridge, x.var(0).mean())
    expected = fit.gain * (x @ weight.T + bias - y.mean(0)) + y.mean(0)
    found = fit(_tensor(x)).numpy()
    scale = np.abs(expected).max() + 1
    np.testing.assert_allclose(found, expected, atol=1e-6 * scale)
    np.testing.assert_allclose(fit.variance.numpy(), found.var(0, ddof=1), rtol=1e-5, atol=1e-9)


def test_without_noise_it_is_the_least_squares_solution() -> None:
    x, y = _problem(1, 40, 6, 4, 0.0)
    fit = fit_affine([_tensor(x)], _tensor(y), torch.arange(40) % 4 == 0)
    assert fit.rank > 0.9
    ones = np.concatenate([x, np.ones((40, 1))], axis=1)
    solution, *_ = np.linalg.lstsq(ones, y, rcond=None)
    plain = (fit(_tensor(x)).numpy() - y.mean(0)) / fit.gain + y.mean(0)
    assert np.corrcoef(plain.ravel(), (ones @ solution).ravel())[0, 1] > 0.99


def test_a_gain_is_used_where_a_large_mean_hides_what_differs() -> None:
    """Noisy features of targets whose mean is ten times their deviation."""
    random = np.random.default_rng(0)
    own = random.normal(size=(400, 16))
    x = own + random.normal(0, 1.5, own.shape)
    y = own + 10 * random.normal(size=16) / 4
    fit = fit_affine([_tensor(x)], _tensor(y), torch.arange(400) % 4 == 0)
    assert fit.gain > 1
    centred = fit_affine([_tensor(x)], _tensor(own), torch.arange(400) % 4 == 0)
    assert fit.rank > 0.5 * centred.rank


def test_features_of_several_networks_are_centred_by_themselves() -> None:
    """Offsets of a network do not matter; the centre is the mean of all."""
    x, y = _problem(2, 50, 5, 3, 0.3)
    held_out = torch.arange(50) % 5 == 0
    groups = [_tensor(x), _tensor(x[:, ::-1].copy())]
    plain = fit_affine(groups, _tensor(y), held_out)
    moved = fit_affine([groups[0] + 7.0, groups[1] - 2.0], _tensor(y), held_out)
    torch.testing.assert_close(plain.weight, moved.weight)
    torch.testing.assert_close(moved.centre, plain.centre + 2.5)
    torch.testing.assert_close(plain.variance, moved.variance)


@pytest.mark.parametrize("held_out", [[False] * 4, [True] * 4])
def test_without_rows_to_choose_by_the_largest_ridge_is_used(held_out: list[bool]) -> None:
    x, y = _problem(3, 4, 2, 2, 0.3)
    fit = fit_affine([_tensor(x)], _tensor(y), torch.tensor(held_out))
    assert (fit.ridge, fit.gain) == (RIDGES[-1], GAINS[0])
    assert np.isnan(fit.rank)
    assert fit.weight.isfinite().all()


def test_constant_features_give_a_constant_map() -> None:
    fit = fit_affine([torch.ones(6, 3)], torch.randn(6, 2), torch.arange(6) < 2)
    assert fit.weight.abs().max() < 1e-12
    assert not fit.variance.any()
