"""Adapter: a linear map of the gallery's embeddings by which a query finds more in the same index.

An index is searched by the dot product of the query's embedding with those of the index. The
embedding that finds most there need not be the gallery model's: with its embedding e, the mean m
and a covariance S of embeddings, the query S^-1 (e - m) gives each direction the less weight the
more it varies by itself. If S is the covariance within identities, that is the query's side of a
linear discriminant analysis; if S is that of all embeddings, the query is the linear classifier
that separates one image from all others. Nothing changes in the index.

A query network whose targets are such queries learns them as it would learn the embeddings, at no
cost on the phone. A gallery model that was trained for the very search has little to gain, and few
images teach a network too little. So the hold-out decides, before anything is trained.

Sources: Fisher, "The Use of Multiple Measurements in Taxonomic Problems", 1936; Hariharan et al.,
"Discriminative Decorrelation for Clustering and Classification", ECCV 2012.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.data.image_set import Integers

__all__ = [
    "KINDS",
    "SHRINKAGES",
    "Adapter",
    "Kind",
    "Labelled",
    "Moments",
    "adapter_sentence",
    "covariance",
    "made_adapter",
    "moments_of",
]

Labelled = tuple[Tensor, Integers]
"""Embeddings (N, D) and their identities (N,)."""

Kind = Literal["identities", "images"]
KINDS: tuple[Kind, ...] = ("identities", "images")
"""Whose covariance: that within identities, or that of all images."""

SHRINKAGES = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Of S to a multiple of the identity matrix, in units of its mean eigenvalue."""

SHARPEST = 8.0
"""The most sharpness. With a few dozen images it may be far more, and the steep losses diverge;
with thousands of images it was 2.8 to 4."""

MOST_COMPARED = 2000
"""Training images by which the sharpness is measured."""
MOST_FITTED = 50_000
"""Training images whose embeddings an adapter is fitted to."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A map of the gallery model's embeddings (N, D) to queries of its index.

    Attributes:
        kind: whose covariance it removes, see `KINDS`.
        shrinkage: see `SHRINKAGES`.
        mean: of the embeddings, (D,).
        matrix: (D, D).
        sharpness: how much less the similarities of a query to the index vary than those of an
            embedding; temperatures of similarities are divided by it.
        before, after: mean reciprocal rank of the gallery model's embeddings as queries, without
            and with the map, on the images that chose it, 0..1.
    """

    kind: Kind
    shrinkage: float
    mean: Tensor
    matrix: Tensor
    sharpness: float
    before: float
    after: float

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Embeddings (N, D) to queries (N, D) of unit length."""
        return _mapped(embeddings, self.mean, self.matrix)

    def to_dict(self) -> dict[str, Any]:
        """What a manifest records of it; `adapter_sentence` says it."""
        return {
            "kind": self.kind,
            "shrinkage": self.shrinkage,
            "before": round(self.before, 4),
            "after": round(self.after, 4),
        }


def adapter_sentence(facts: Mapping[str, Any]) -> str:
    """What an adapter is and brings, by what a manifest records of it."""
    whose = "identities" if facts["kind"] == "identities" else "training images"
    return (
        "The network learns to query the index better than the gallery model does, by an adapter "
        f"that is fitted to the {whose}. On images that it is not fitted to, it raises the mean "
        "reciprocal rank of the gallery model's own queries from "
        f"{facts['before']:.3f} to {facts['after']:.3f}. "
        "Similarities are smaller then, so a threshold on them has to be chosen anew."
    )


def made_adapter(supervised: Labelled, facts: Mapping[str, Any]) -> Adapter:
    """The adapter of a kind and shrinkage, as a manifest records them, of these embeddings.

    Args:
        supervised: the gallery's embeddings of the training images, and their identities; there is
            a covariance of the kind.
        facts: see `Adapter.to_dict`.
    """
    kind, shrinkage = facts["kind"], float(facts["shrinkage"])
    moments = moments_of(supervised, np.ones(len(supervised[1]), dtype=bool))
    matrix = torch.cholesky_inverse(moments.factor(kind, shrinkage))
    order = np.random.default_rng(1).permutation(len(supervised[1]))[:MOST_COMPARED]
    index, asked = supervised[0][order].float().chunk(2)
    sharpness = _variation(asked, index) / _variation(_mapped(asked, moments.mean, matrix), index)
    return Adapter(
        kind=kind,
        shrinkage=shrinkage,
        mean=moments.mean,
        matrix=matrix,
        sharpness=min(sharpness, SHARPEST),
        before=float(facts["before"]),
        after=float(facts["after"]),
    )


def moments_of(supervised: Labelled, among: NDArray[np.bool_]) -> Moments:
    """The moments of some training images."""
    rows = np.random.default_rng(1).permutation(np.flatnonzero(among))[:MOST_FITTED]
    return Moments.of(supervised[0][rows].float(), torch.from_numpy(supervised[1][rows]))


@dataclass(frozen=True, slots=True)
class Moments:
    """What adapters are made of.

    Attributes:
        mean: of embeddings, (D,).
        covariances: (D, D) by kind, see `covariance`; those that are not zero.
    """

    mean: Tensor
    covariances: Mapping[Kind, Tensor]

    @classmethod
    def of(cls, embeddings: Tensor, identities: Tensor) -> Moments:
        """Those of embeddings (N, D) of images of identities (N,), which are -1 without labels."""
        by_kind = {kind: covariance(embeddings, identities, kind) for kind in KINDS}
        known = {kind: found for kind, found in by_kind.items() if found is not None}
        return cls(embeddings.mean(0), known)

    @property
    def choices(self) -> list[tuple[Kind, float]]:
        """Kinds and shrinkages among which the hold-out chooses."""
        return [(kind, shrinkage) for kind in self.covariances for shrinkage in SHRINKAGES]

    def factor(self, kind: Kind, shrinkage: float) -> Tensor:
        """The Cholesky factor (D, D) of a covariance that is shrunk to the identity matrix."""
        spread = self.covariances[kind]
        factor: Tensor = torch.linalg.cholesky(spread + shrinkage * torch.eye(len(spread)))
        return factor

    def queries(self, embeddings: Tensor, kind: Kind, shrinkage: float) -> Tensor:
        """Queries (N, D) of unit length for embeddings (N, D)."""
        factor = self.factor(kind, shrinkage)
        solved = torch.cholesky_solve((embeddings - self.mean).T, factor).T
        return F.normalize(solved, dim=1)


def covariance(embeddings: Tensor, identities: Tensor, kind: Kind) -> Tensor | None:
    """A covariance (D, D) of embeddings, scaled to a mean eigenvalue of 1.

    Args:
        embeddings: (N, D).
        identities: (N,); -1 for images without labels.
        kind: see `KINDS`.

    Returns:
        None if it is zero: no identity has two images, or all of an identity's are alike.
    """
    if kind == "identities":
        labelled = identities >= 0
        embeddings = embeddings[labelled]
        _, labels = torch.unique(identities[labelled], return_inverse=True)
        counts = torch.bincount(labels)
        sums = embeddings.new_zeros(len(counts), embeddings.shape[1])
        means = sums.index_add_(0, labels, embeddings) / counts[:, None]
        centred = (embeddings - means[labels])[counts[labels] > 1]
    else:
        centred = embeddings - embeddings.mean(0)
    scatter = centred.T @ centred
    mean = scatter.diagonal().mean()
    return scatter / mean if mean > 0 else None


def _mapped(embeddings: Tensor, mean: Tensor, matrix: Tensor) -> Tensor:
    return F.normalize((embeddings.float() - mean) @ matrix, dim=1)


def _variation(queries: Tensor, index: Tensor) -> float:
    """Standard deviation of the similarities of a query to the index, over all queries."""
    similarities = queries @ index.T
    return float((similarities - similarities.mean(1, keepdim=True)).square().mean().sqrt())
