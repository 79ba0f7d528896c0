"""Adapter: a linear map of the gallery's embeddings by which a query finds more in the same index.

An index is searched by the dot product of the query's embedding with those of the index. The
embedding that finds most there need not be the gallery model's: with its embedding e, the mean m
and a covariance S of embeddings, the query S^-1 (e - m) gives each direction the less weight the
more it varies by itself. If S is the covariance within identities, that is the query's side of a
linear discriminant analysis; if S is that of all embeddings, the query is the linear classifier
that separates one image from all others. Nothing changes in the index.

A query network whose targets are such queries learns them as it would learn the embeddings, at no
cost on the phone. A gallery model that was trained for the very search has little to gain. So the
hold-out decides, by the gallery model's own embeddings, before anything is trained; a small one is
helped by the training images.

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

from edgecmp.data import Dataset
from edgecmp.data.image_set import Integers
from edgecmp.evaluation.ranks import Ranks, best_by_ranks, reciprocal_ranks
from edgecmp.gallery.source import GallerySource

__all__ = [
    "KINDS",
    "SHRINKAGES",
    "Adapter",
    "Kind",
    "Moments",
    "adapter_sentence",
    "covariance",
    "fitted_adapter",
]

Kind = Literal["identities", "images"]
KINDS: tuple[Kind, ...] = ("identities", "images")
"""Whose covariance: that within identities, or that of all images."""

SHRINKAGES = (0.3, 1.0, 3.0)
"""Of S to a multiple of the identity matrix, in units of its mean eigenvalue."""

FEWEST_FITTED = 30
"""Training images below which there is no adapter."""
FEW_QUERIES = 100
"""Of the hold-out, below which the training images help it to choose."""
MOST_QUERIES = 1000
"""Of the hold-out, by which an adapter is chosen."""
MOST_OTHERS = 2000
"""Training images that make the hold-out's gallery larger."""
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


def fitted_adapter(
    embeddings: Tensor, identities: Tensor, *, dataset: Dataset, source: GallerySource
) -> Adapter | None:
    """The adapter that finds most on the hold-out.

    A hold-out of fewer than `FEW_QUERIES` queries is helped by the training images: an adapter of
    one half of their identities is tried on the other half.

    Args:
        embeddings: the gallery's, of the training images, (N, D).
        identities: of the training images, (N,); -1 for images without labels.
        dataset: its hold-out chooses.
        source: the gallery.

    Returns:
        None if none is clearly better than the embeddings themselves, the hold-out or the training
        images are too few, or the gallery has no embeddings of its queries.
    """
    task = dataset.retrieval("validation").limited(MOST_QUERIES)
    if len(embeddings) < FEWEST_FITTED or source.missing(task.queries):
        return None
    order = torch.from_numpy(np.random.default_rng(1).permutation(len(embeddings))[:MOST_FITTED])
    embeddings, identities = embeddings[order].float(), identities[order]
    moments = Moments.of(embeddings, identities)
    trials = [
        _Trial.of(
            (torch.from_numpy(source.embeddings(task.queries)), task.queries.identities),
            (torch.from_numpy(source.embeddings(task.gallery)), task.gallery.identities),
            others=embeddings[:MOST_OTHERS],
            moments=moments,
            cameras=task.cameras,
        )
    ]
    if len(task.queries) < FEW_QUERIES:
        trials += _on_halves(embeddings, identities)
    known = np.concatenate([trial.ranks(trial.queries) for trial in trials])
    by_map = {
        key: np.concatenate([trial.ranks_by(*key) for trial in trials])
        for key in moments.choices
        if all(key in trial.moments.choices for trial in trials)
    }
    best = best_by_ranks(known, by_map)
    if best is None:
        return None
    (kind, shrinkage), before, after = best
    matrix = torch.cholesky_inverse(moments.factor(kind, shrinkage))
    index, asked = embeddings[:MOST_OTHERS].chunk(2)
    sharpness = _variation(asked, index) / _variation(_mapped(asked, moments.mean, matrix), index)
    return Adapter(
        kind=kind,
        shrinkage=shrinkage,
        mean=moments.mean,
        matrix=matrix,
        sharpness=sharpness,
        before=before,
        after=after,
    )


Labelled = tuple[Tensor, Integers]
"""Embeddings (N, D) and their identities (N,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trial:
    """A task on which adapters are compared.

    Attributes:
        queries: embeddings (Q, D).
        query_ids: (Q,).
        gallery: embeddings (G, D).
        gallery_ids: (G,); -1 for images that no query shows.
        moments: of other images, which the adapters are made of.
        cameras: as in `top_k`.
    """

    queries: Tensor
    query_ids: Integers
    gallery: NDArray[Any]
    gallery_ids: Integers
    moments: Moments
    cameras: tuple[Integers, Integers] | None

    @classmethod
    def of(
        cls,
        queries: Labelled,
        gallery: Labelled,
        *,
        others: Tensor,
        moments: Moments,
        cameras: tuple[Integers, Integers] | None = None,
    ) -> _Trial:
        """A task whose gallery is made larger by the embeddings (O, D) of other identities."""
        nobody = np.full(len(others), -1)
        if cameras is not None:
            cameras = cameras[0], np.concatenate([cameras[1], nobody])
        return cls(
            queries=queries[0],
            query_ids=queries[1],
            gallery=torch.cat([gallery[0], others]).numpy(),
            gallery_ids=np.concatenate([gallery[1], nobody]),
            moments=moments,
            cameras=cameras,
        )

    def ranks(self, queries: Tensor) -> Ranks:
        """Reciprocal ranks (Q,) of the matches of some vectors (Q, D) for the queries."""
        task = queries.numpy(), self.query_ids, self.gallery, self.gallery_ids
        return reciprocal_ranks(*task, cameras=self.cameras)

    def ranks_by(self, kind: Kind, shrinkage: float) -> Ranks:
        """The same of the queries of an adapter."""
        return self.ranks(self.moments.queries(self.queries, kind, shrinkage))


def _on_halves(embeddings: Tensor, identities: Tensor) -> list[_Trial]:
    """Each half of the identities as a task, with the moments of the other half.

    An identity's first image is in the gallery, and the others are queries.
    """
    labels = identities.numpy()
    present = np.random.default_rng(2).permutation(np.unique(labels[labels >= 0]))
    trials = []
    for half in (present[::2], present[1::2]):
        inside = np.isin(labels, half)
        rows = np.flatnonzero(inside)
        _, first = np.unique(labels[rows], return_index=True)
        in_gallery = np.zeros(len(rows), dtype=bool)
        in_gallery[first] = True
        asked, shown = rows[~in_gallery], rows[in_gallery]
        if len(asked) and not inside.all():
            moments = Moments.of(embeddings[~inside], identities[~inside])
            trials.append(
                _Trial.of(
                    (embeddings[asked], labels[asked]),
                    (embeddings[shown], labels[shown]),
                    others=embeddings[~inside][:MOST_OTHERS],
                    moments=moments,
                )
            )
    return trials


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
