"""Channel selection against sklearn's LASSO on the full problem, and on planted channels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import Lasso

from edgecmp.pruning.lasso import moments, select_channels


def layer(
    seed: int, *, samples: int = 60, channels: int = 12, pixels: int = 9, outputs: int = 7
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Correlated inputs (P, C, K), like those of images, and weights (O, C, K)."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(samples, channels, pixels)).clip(0)
    inputs += 0.5 * random.normal(size=(samples, 1, pixels)).clip(0)
    return inputs, random.normal(size=(outputs, channels, pixels)) * random.gamma(
        2, size=(1, channels, 1)
    )


def responses_by_channel(inputs: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Z (P O, C): the contribution of each channel, samples and outputs in one column."""
    responses: NDArray[Any] = np.einsum("pck,ock->poc", inputs, weight)
    return responses.reshape(-1, weight.shape[1])


def test_moments_are_those_of_the_full_problem() -> None:
    inputs, weight = layer(0)
    responses = np.random.default_rng(1).normal(size=(len(inputs), len(weight)))
    gram, cross = moments(inputs, responses, weight)
    z = responses_by_channel(inputs, weight)
    np.testing.assert_allclose(gram, z.T @ z, rtol=1e-10)
    np.testing.assert_allclose(cross, z.T @ responses.reshape(-1), rtol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_the_choice_is_that_of_sklearn_on_the_full_problem(seed: int) -> None:
    """Along a fine descending grid of alpha, ours is the first support of each size."""
    inputs, weight = layer(seed)
    responses = np.einsum("pck,ock->po", inputs, weight)
    z, y = responses_by_channel(inputs, weight), responses.reshape(-1)
    first: dict[int, NDArray[Any]] = {}
    for alpha in np.geomspace(np.abs(z.T @ y).max() / len(y), 1e-4, 600):
        beta = Lasso(alpha=alpha, fit_intercept=False, tol=1e-8).fit(z, y).coef_
        first.setdefault(np.count_nonzero(beta), np.flatnonzero(beta))
    sizes = [size for size in first if size]
    assert len(sizes) >= 9
    for size in sizes:
        ours = select_channels(*moments(inputs, responses, weight), size)
        assert len(ours) == size
        np.testing.assert_array_equal(ours, first[size])


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), keep=st.integers(1, 12), dead=st.integers(0, 12))
def test_exactly_as_many_stay_as_wanted(seed: int, keep: int, dead: int) -> None:
    inputs, weight = layer(seed, samples=20)
    inputs[:, :dead] = 0
    responses = np.einsum("pck,ock->po", inputs, weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = select_channels(*moments(inputs, responses, weight), keep)
    assert len(chosen) == keep
    assert sorted({*chosen.tolist()}) == chosen.tolist()
    active = 12 - dead
    assert np.count_nonzero(chosen >= dead) == min(keep, active)  # dead channels come last


@pytest.mark.parametrize("seed", range(5))
def test_the_channels_that_matter_are_found(seed: int) -> None:
    """With nearly uncorrelated channels, so that LASSO's first ones are the right ones."""
    random = np.random.default_rng(seed)
    inputs, weight = random.normal(size=(400, 12, 9)), random.normal(size=(7, 12, 9))
    chosen = np.sort(random.permutation(12)[:4])
    responses = np.einsum("pck,ock->po", inputs[:, chosen], weight[:, chosen])
    np.testing.assert_array_equal(select_channels(*moments(inputs, responses, weight), 4), chosen)
