"""fit_affine: the affine map from features to embeddings by ridge regression, in closed form.

The features may come from several networks that see the same images, such as subnets of one
supernet that share a head. Each network's features are centred by themselves, as its batch norms
will centre them, so that the one map fits all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["GAINS", "RIDGES", "AffineFit", "fit_affine"]

RIDGES = tuple(10.0 ** (exponent / 2) for exponent in range(-12, 5))
"""Ridges that are tried, as multiples of the mean variance of a feature."""

GAINS = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
"""Factors of the outputs' deviation from their mean that are tried.

Regression shrinks this deviation by what it cannot predict. Where embeddings have a large mean, the
outputs are then nearly that mean, and every query finds the embeddings nearest to it.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineFit:
    """The map x -> weight (x - centre) + bias; all tensors are float64.

    The gain is a part of the weight.

    Attributes:
        weight: (D, C).
        centre: (C,), the mean of all features.
        bias: (D,), the mean of the targets.
        variance: (D,), of the map's outputs, within the features of one network.
        ridge, gain: those that were chosen.
        rank: mean reciprocal rank, 0..1, at which the outputs of held-out rows find their own
            targets among the held-out ones; nan without any.
    """

    weight: Tensor
    centre: Tensor
    bias: Tensor
    variance: Tensor
    ridge: float
    gain: float
    rank: float

    def __call__(self, features: Tensor) -> Tensor:
        """Features (N, C) to outputs (N, D), float64."""
        return (features.double() - self.centre) @ self.weight.T + self.bias


def fit_affine(features: Sequence[Tensor], targets: Tensor, held_out: Tensor) -> AffineFit:
    """Fits the map with the least mean squared error plus ridge |weight|^2; the gain follows.

    Ridge and gain are those with which the held-out rows best find their own targets, after a fit
    without them; the map is then fitted on all rows.

    Args:
        features: one (N, C) per network, of the same N images.
        targets: (N, D).
        held_out: (N,) bool: the rows by which ridge and gain are chosen. If none or all are held
            out, the largest ridge and no gain are used.
    """
    groups, targets = [group.double() for group in features], targets.double()
    ridge, gain, rank = RIDGES[-1], GAINS[0], float("nan")
    if held_out.any() and not held_out.all():
        ridge, gain, rank = _chosen(groups, targets, held_out)
    moments = _Moments.of(groups, targets)
    weight = gain * moments.solve(ridge)
    rows = sum(len(group) for group in groups)
    unbiased = rows / max(1, rows - len(groups))
    return AffineFit(
        weight=weight,
        centre=torch.stack([group.mean(0) for group in groups]).mean(0),
        bias=targets.mean(0),
        variance=((weight @ moments.gram) * weight).sum(1).clamp_min(0.0) * unbiased,
        ridge=ridge,
        gain=gain,
        rank=rank,
    )


def _chosen(
    groups: Sequence[Tensor], targets: Tensor, held_out: Tensor
) -> tuple[float, float, float]:
    """The ridge and the gain with the highest mean reciprocal rank, and that rank."""
    kept = ~held_out
    moments = _Moments.of([group[kept] for group in groups], targets[kept])
    wanted = F.normalize(targets[held_out], dim=1)
    # The score of an output and a target is gain (z . along) + constant, where z are the features
    # in the eigenvectors of `gram`, divided by the eigenvalues plus the ridge.
    along = moments.rotated.T @ wanted.T  # (C, n)
    constant = wanted @ targets[kept].mean(0)  # (n,)
    tests = torch.cat([group[held_out] - group[kept].mean(0) for group in groups])
    tests = tests @ moments.vectors
    own = torch.arange(len(wanted)).repeat(len(groups))[:, None]
    best = (RIDGES[-1], GAINS[0], 0.0)
    for ridge in reversed(RIDGES):
        scores = (tests / moments.damped(ridge)) @ along
        for gain in GAINS:
            found = gain * scores + constant
            ranks = (found >= found.gather(1, own)).sum(1)  # 1 for the highest score
            rank = float(ranks.double().reciprocal().mean())
            best = (ridge, gain, rank) if rank > best[2] else best
    return best


@dataclass(frozen=True, slots=True)
class _Moments:
    """Second moments of centred features and targets, and the eigenvectors of the former.

    Attributes:
        gram: (C, C), mean of x x^T.
        rotated: (D, C), mean of y x^T, in the eigenvectors of `gram`.
        values: (C,), the eigenvalues of `gram`, ascending.
        vectors: (C, C), the eigenvectors, one per column.
    """

    gram: Tensor
    rotated: Tensor
    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, groups: Sequence[Tensor], targets: Tensor) -> _Moments:
        """The moments over the rows of all groups, each centred by itself."""
        rows = sum(len(group) for group in groups)
        centred = targets - targets.mean(0)
        gram = groups[0].new_zeros(groups[0].shape[1], groups[0].shape[1])
        for group in groups:
            group = group - group.mean(0)
            gram += group.T @ group / rows
        cross = centred.T @ (torch.stack(list(groups)).sum(0) / rows)  # (D, C)
        values, vectors = torch.linalg.eigh(gram)
        return cls(gram, cross @ vectors, values.clamp_min(0.0), vectors)

    def damped(self, ridge: float) -> Tensor:
        """The eigenvalues (C,) plus a ridge, which is a multiple of their mean."""
        return self.values + (ridge * float(self.values.mean()) or 1.0)  # 1 if all are zero

    def solve(self, ridge: float) -> Tensor:
        """The weight (D, C) for a ridge."""
        weight: Tensor = (self.rotated / self.damped(ridge)) @ self.vectors.T
        return weight
