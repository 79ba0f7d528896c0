"""The predictor against an independent Gaussian process, and on functions with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import PairwiseKernel

from edgecmp.networks.tiers import DEPTH
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.space import LAYER_CHOICES
from edgecmp.search.strategies.gaussian_process import SMOOTHNESS, Predictor, fit_predictor

TABLE = FlopsTable.of("100M")
CHOICES = LAYER_CHOICES.astype(np.intp)


def random_rows(seed: int, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rows = np.random.default_rng(seed).integers(CHOICES, size=(n, 40), dtype=np.uint8)
    return rows, TABLE.counts(rows[:, :DEPTH], rows[:, DEPTH:])


def worth(rows: NDArray[Any], noise: float = 0.0) -> NDArray[Any]:
    """Two accuracies: diminishing gains from the widths of a few layers, and from some blocks."""
    width = 1 - 1 / (rows[:, DEPTH:] + 1.0)
    kinds = np.array([0.1, 0.3, 0.2, 0.0])[rows[:, :DEPTH]]
    mqq = 0.3 * width[:, 0] + 0.1 * width[:, 3] + 0.2 * kinds[:, :4].sum(1)
    mqg = 0.2 * width[:, 0] + 0.2 * width[:, 8] + 0.1 * kinds[:, 2]
    samples = np.random.default_rng(9).normal(0, noise, (2, len(rows)))
    both: NDArray[Any] = np.stack((mqq, mqg), 1) + samples.T
    return both


def test_it_equals_the_posterior_of_an_independent_gaussian_process() -> None:
    """scikit-learn's, with the fitted variances and the documented kernel."""
    rows, flops = random_rows(0, 60)
    accuracies = worth(rows, 0.02)
    predictor = fit_predictor(CHOICES, rows, flops, accuracies)
    mean, deviation = flops.mean(), flops.std()

    def covariance(left: NDArray[Any], right: NDArray[Any], **_: object) -> float:
        total = 0.0
        for gene in range(40):
            a, b = left[gene], right[gene]
            if gene < DEPTH:
                same = float(a == b)
            else:
                same = np.exp(-((1 / (a + 1) - 1 / (b + 1)) ** 2) / (2 * SMOOTHNESS**2))
            total += predictor.variances[gene] * same
        scaled = (left[40] - mean) * (right[40] - mean) / deviation**2
        return float(total + predictor.variances[40] * scaled)

    known = np.column_stack((rows, flops)).astype(float)
    centred = accuracies - accuracies.mean(0)
    spread = accuracies.std(0)
    process = GaussianProcessRegressor(
        PairwiseKernel(metric=covariance), alpha=predictor.noise, optimizer=None
    ).fit(known, centred / spread)
    others, their_flops = random_rows(1, 15)
    expected = process.predict(np.column_stack((others, their_flops)).astype(float))
    found = predictor.predict(others, their_flops)
    assert found == pytest.approx(expected * spread + accuracies.mean(0), abs=1e-9)


def test_its_variances_maximise_the_likelihood() -> None:
    """Changing any of the largest variances, or the noise, does not increase the likelihood."""
    rows, flops = random_rows(2, 150)
    predictor = fit_predictor(CHOICES, rows, flops, worth(rows, 0.02))
    targets = worth(rows, 0.02)
    targets = (targets - targets.mean(0)) / targets.std(0)
    kernels = [np.equal.outer(rows[:, gene], rows[:, gene]).astype(float) for gene in range(DEPTH)]
    for gene in range(DEPTH, 40):
        apart = np.subtract.outer(1 / (rows[:, gene] + 1.0), 1 / (rows[:, gene] + 1.0))
        kernels.append(np.exp(-(apart**2) / (2 * SMOOTHNESS**2)))
    scaled = (flops - flops.mean()) / flops.std()
    kernels.append(np.outer(scaled, scaled))

    def likelihood(variances: NDArray[Any]) -> float:
        covariance = np.tensordot(variances[:-1], kernels, 1) + variances[-1] * np.eye(len(rows))
        gaussian = stats.multivariate_normal(np.zeros(len(rows)), covariance)
        return float(gaussian.logpdf(targets.T).sum())

    best = np.append(predictor.variances, predictor.noise)
    top = likelihood(best)
    for place in (np.argsort(-best)[:6]).tolist():
        for factor in (0.8, 1.25):
            assert likelihood(np.where(np.arange(42) == place, best * factor, best)) < top + 0.05


def test_it_ranks_unseen_architectures() -> None:
    rows, flops = random_rows(3, 200)
    predictor = fit_predictor(CHOICES, rows, flops, worth(rows, 0.01))
    others, their_flops = random_rows(4, 300)
    found, truth = predictor.predict(others, their_flops), worth(others)
    tau = stats.kendalltau(found.prod(1), truth.prod(1))[0]
    assert tau > 0.8
    strongest = set(np.argsort(-predictor.variances)[:3].tolist())
    assert DEPTH in strongest, "the width of the first layer matters most"


def test_pure_noise_is_attributed_to_noise() -> None:
    rows, flops = random_rows(5, 120)
    samples = np.random.default_rng(0).normal(0.5, 0.1, (120, 2))
    assert fit_predictor(CHOICES, rows, flops, samples).noise > 0.5


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), n=st.integers(3, 30), constant=st.booleans())
def test_any_few_measurements_give_finite_predictions(seed: int, n: int, constant: bool) -> None:
    """Even with one architecture repeated, or a constant accuracy."""
    rows, flops = random_rows(seed, n)
    if constant:
        rows, flops = np.repeat(rows[:1], n, 0), np.repeat(flops[:1], n)
    accuracies = np.random.default_rng(seed).random((n, 2))
    accuracies[:, 1] = 0.25
    found = fit_predictor(CHOICES, rows, flops, accuracies).predict(*random_rows(seed + 1, 5))
    assert np.isfinite(found).all()
    assert found[:, 1] == pytest.approx(0.25)


def test_the_number_of_threads_changes_no_bit() -> None:
    rows, flops = random_rows(6, 100)
    before = torch.get_num_threads()
    fitted: list[Predictor] = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            fitted.append(fit_predictor(CHOICES, rows, flops, worth(rows, 0.01)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert (fitted[0].effects == fitted[1].effects).all()
