"""Predictor: an architecture's accuracies, learned from measured architectures.

An additive Gaussian process. The covariance of two architectures is a sum of one term per gene and
one for FLOPs:

    k(x, x') = sum_g v_g k_g(x_g, x'_g) + v_F f(x) f(x')

For blocks and input sizes k_g is 1 for equal values and 0 otherwise; for widths w, w' in fifths it
is exp(-(1/w - 1/w')^2 / (2 * 0.2^2)), smooth in the reciprocal because narrowing a layer costs most
accuracy where it is narrow already. The variances v_g and the noise maximise the likelihood, by the
multiplicative updates of Zhou et al. (2019, "MM algorithms for variance components models"), so
that variances of irrelevant genes vanish. All accuracies share them.

Genes take few values, so the posterior mean is one number per gene and value, and a prediction is
41 look-ups, independent of the number of measured architectures.

Chosen by Kendall's tau on random subnets of the starter kit that it was not fitted to, against
ridge regression, other Gaussian processes and random forests: see docs/results/search.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.networks.tiers import DEPTH, WIDTHS
from edgecmp.search.evaluation.parallelism import torch_threads
from edgecmp.search.space.space import LAYER_GENES, Rows

__all__ = ["Predictor", "fit_predictor"]

SMOOTHNESS = 0.2
"""Length scale of the kernel of widths, in reciprocals of fifths."""

UPDATES = 30
"""Updates of the variances; a hundred reach the same rank correlation."""

MIN_NOISE = 1e-6
"""Keeps the covariance invertible where the genes explain all variance."""

MIN_CURVATURE = 1e-12
"""Avoids a division by zero for genes with the same value in all measured architectures."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted predictor; on one processor `predict` is the same for every number of threads.

    Attributes:
        effects: (V + 1, K) what each value of each gene adds to each of K accuracies; the last row
            is for one standard deviation of FLOPs.
        means: (K,) of the accuracies it was fitted to.
        flops: mean and standard deviation of the FLOPs it was fitted to.
        offsets: (G,) index of each gene's first value in `effects`.
        variances: (G + 1,) share of the accuracies' variance that the prior assigns to each gene
            and to FLOPs.
        noise: share that it assigns to none of them.
    """

    effects: NDArray[np.float64]
    means: NDArray[np.float64]
    flops: tuple[float, float]
    offsets: NDArray[np.intp]
    variances: NDArray[np.float64]
    noise: float

    def predict(self, rows: Rows, flops: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N, K) accuracies of (N, G) rows with (N,) FLOPs."""
        total: NDArray[np.float64]
        total = self.means + self.effects[-1] * self._scaled(flops)[:, None]
        for offset, genes in zip(self.offsets, rows.T, strict=True):
            total += self.effects[offset + genes.astype(np.intp)]
        return total

    def _scaled(self, flops: NDArray[np.int64]) -> NDArray[np.float64]:
        mean, deviation = self.flops
        return (flops - mean) / deviation


def fit_predictor(
    choices: NDArray[np.intp],
    rows: Rows,
    flops: NDArray[np.int64],
    accuracies: NDArray[np.float64],
) -> Predictor:
    """Fits a predictor.

    Args:
        choices: (G,) number of values that each gene can take.
        rows: (N, G) measured architectures.
        flops: (N,) their FLOPs.
        accuracies: (N, K) measured.
    """
    offsets = np.concatenate(([0], np.cumsum(choices)[:-1])).astype(np.intp)
    count = len(rows)
    mean, deviation = float(flops.mean()), float(flops.std()) or 1.0
    means = accuracies.mean(0)
    deviations = np.where(accuracies.std(0) > 0, accuracies.std(0), 1.0)
    values = int(choices.sum())
    design = np.zeros((count, values + 1))
    design[np.arange(count)[:, None], offsets + rows.astype(np.intp)] = 1
    design[:, -1] = (flops - mean) / deviation
    groups = np.append(np.repeat(np.arange(len(choices)), choices), len(choices))
    with torch_threads(1):  # one order of summation, whatever threads a search resumes with
        prior = torch.from_numpy(_kernel(choices, offsets))
        effects, variances, noise = _maximum_likelihood(
            torch.from_numpy(design),
            torch.from_numpy((accuracies - means) / deviations),
            prior,
            torch.from_numpy(groups),
        )
    return Predictor(
        effects=effects.numpy() * deviations,
        means=means,
        flops=(mean, deviation),
        offsets=offsets,
        variances=variances.numpy(),
        noise=noise,
    )


def _kernel(choices: NDArray[np.intp], offsets: NDArray[np.intp]) -> NDArray[np.float64]:
    """(V + 1, V + 1) block diagonal: the kernels of all genes and of FLOPs, each of variance 1."""
    kernel = np.eye(int(choices.sum()) + 1)
    reciprocal = 1 / np.array(WIDTHS)
    smooth = np.exp(-((reciprocal[:, None] - reciprocal) ** 2) / (2 * SMOOTHNESS**2))
    for offset in offsets[DEPTH:LAYER_GENES]:
        gene = slice(offset, offset + len(WIDTHS))
        kernel[gene, gene] = smooth
    return kernel


def _maximum_likelihood(
    design: Tensor, targets: Tensor, kernel: Tensor, groups: Tensor
) -> tuple[Tensor, Tensor, float]:
    """Effects (V + 1, K), variances (G + 1,) and noise that maximise the likelihood.

    Args:
        design: (N, V + 1), per architecture an indicator of its genes' values, and its FLOPs.
        targets: (N, K), standardised.
        kernel: (V + 1, V + 1), covariance of the effects at variance 1.
        groups: (V + 1,), index of the gene of each effect.
    """
    count, outputs = targets.shape
    number = int(groups.max()) + 1
    variances = torch.full((number,), 0.5 / number, dtype=torch.float64)
    noise = 0.5
    identity = torch.eye(count, dtype=torch.float64)
    for _ in range(UPDATES):
        prior = kernel * variances[groups]  # block diagonal
        inverse = torch.linalg.inv(design @ prior @ design.T + noise * identity)  # (N, N)
        solved = inverse @ targets  # (N, K)
        pulled = design.T @ solved  # (V + 1, K)
        explained = _by_group((pulled * (kernel @ pulled)).sum(1), groups, number) / outputs
        curvature = _by_group(((design.T @ inverse @ design) * kernel).sum(1), groups, number)
        variances = variances * (explained / curvature.clamp(min=MIN_CURVATURE)).sqrt()
        noise *= float((solved.square().sum() / outputs / inverse.trace()).sqrt())
        noise = max(noise, MIN_NOISE)
    prior = kernel * variances[groups]
    covariance = design @ prior @ design.T + noise * identity
    return prior @ design.T @ torch.linalg.solve(covariance, targets), variances, noise


def _by_group(values: Tensor, groups: Tensor, number: int) -> Tensor:
    """(number,) sums of the values of each group."""
    return torch.zeros(number, dtype=torch.float64).index_add_(0, groups, values)
