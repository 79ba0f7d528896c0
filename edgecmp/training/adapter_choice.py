"""Which adapter a training has, chosen on the hold-out before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.data import Dataset, ImageSet
from edgecmp.data.image_set import Integers
from edgecmp.evaluation.ranks import Ranks, best_by_ranks, reciprocal_ranks
from edgecmp.gallery.source import GallerySource
from edgecmp.networks.ridge import AffineFit, fit_affine
from edgecmp.training.adapter import Adapter, Kind, Labelled, Moments, made_adapter, moments_of

__all__ = ["Learner", "chosen_adapter"]

FEWEST_FITTED = 30
"""Training images below which there is no adapter."""
FEW_QUERIES = 100
"""Of the hold-out, below which the training images help it to choose."""
MOST_QUERIES = 1000
"""Of the hold-out, by which an adapter is chosen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """What the network can learn of the gallery's embeddings before it is trained.

    Attributes:
        chosen: indices (n,) of training images in random order.
        features: of these images, by the network without its head, (n, C).
        embed: images to features.
    """

    chosen: Integers
    features: Tensor
    embed: Callable[[ImageSet], Tensor]


def chosen_adapter(
    supervised: Labelled, *, dataset: Dataset, source: GallerySource, learner: Learner
) -> Adapter | None:
    """The adapter whose queries find most, by the mean of the gallery model's and the network's.

    The network's answer is that of its features and the head that fits them best to the gallery's
    embeddings. Few training images teach a network the directions in which embeddings vary most,
    which are those that an adapter gives the least weight: then its queries are worse than before,
    however good those of the gallery model are. Such an adapter is not chosen.

    The hold-out chooses. If it has fewer than `FEW_QUERIES` queries, so does each half of the
    training identities, by adapters and heads of the other half.

    Args:
        supervised: the gallery's embeddings of the training images, and their identities, which
            are -1 without labels.
        dataset: its hold-out chooses.
        source: the gallery.
        learner: the network.

    Returns:
        None if none is clearly better than the embeddings themselves, the queries or the training
        images are too few, or the gallery has no embeddings of the queries.
    """
    embeddings, labels = supervised
    task = dataset.retrieval("validation").limited(MOST_QUERIES)
    if len(embeddings) < FEWEST_FITTED or source.missing(task.queries):
        return None
    everything = np.ones(len(labels), dtype=bool)
    trials = [
        _Trial(
            queries=torch.from_numpy(source.embeddings(task.queries)),
            learned=_head(supervised, learner, everything)(learner.embed(task.queries)).float(),
            query_ids=task.queries.identities,
            gallery=source.embeddings(task.gallery),
            gallery_ids=task.gallery.identities,
            moments=moments_of(supervised, everything),
            cameras=task.cameras,
        )
    ]
    moments = trials[0].moments
    if len(task.queries) < FEW_QUERIES:
        trials += _on_halves(supervised, learner)
    keys = [key for key in moments.choices if all(key in one.moments.choices for one in trials)]
    known, learned = (
        {key: np.concatenate([one.ranks(by, key) for one in trials]) for key in (None, *keys)}
        for by in ("queries", "learned")
    )
    able = [key for key in keys if learned[key].mean() >= learned[None].mean()]
    both = {key: (known[key] + learned[key]) / 2 for key in (None, *able)}
    best = best_by_ranks(both[None], {key: both[key] for key in able})
    if best is None:
        return None
    (kind, shrinkage), before, after = best[0], known[None].mean(), known[best[0]].mean()
    facts = {"kind": kind, "shrinkage": shrinkage, "before": before, "after": after}
    return made_adapter(supervised, facts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trial:
    """A task on which adapters are compared.

    Attributes:
        queries: the gallery's embeddings of the queries, (Q, D).
        learned: the network's answer for them, (Q, D), not of unit length.
        query_ids: (Q,).
        gallery: embeddings (G, D).
        gallery_ids: (G,).
        moments: of images that are not in the task, which the adapters are made of.
        cameras: as in `top_k`.
    """

    queries: Tensor
    learned: Tensor
    query_ids: Integers
    gallery: NDArray[Any]
    gallery_ids: Integers
    moments: Moments
    cameras: tuple[Integers, Integers] | None = None

    def ranks(self, by: str, key: tuple[Kind, float] | None) -> Ranks:
        """Reciprocal ranks (Q,) of the matches.

        Args:
            by: "queries" of the gallery model, or "learned" ones.
            key: kind and shrinkage of an adapter; None: the embeddings as they are.
        """
        embeddings: Tensor = getattr(self, by)
        if key is None:
            queries = F.normalize(embeddings, dim=1)
        else:
            queries = self.moments.queries(embeddings, *key)
        task = queries.numpy(), self.query_ids, self.gallery, self.gallery_ids
        return reciprocal_ranks(*task, cameras=self.cameras)


def _on_halves(supervised: Labelled, learner: Learner) -> list[_Trial]:
    """Each half of the identities as a task, with the moments and the head of the other half.

    An identity's first image is in the gallery, and the learner's others are queries.
    """
    embeddings, labels = supervised
    present = np.random.default_rng(2).permutation(np.unique(labels[labels >= 0]))
    trials = []
    for half in (present[::2], present[1::2]):
        inside = np.isin(labels, half)
        _, first = np.unique(np.where(inside, labels, -1), return_index=True)
        shown = first[inside[first]]
        places = np.flatnonzero(inside[learner.chosen] & ~np.isin(learner.chosen, shown))
        if len(places) and not inside[learner.chosen].all():
            asked = learner.chosen[places]
            trials.append(
                _Trial(
                    queries=embeddings[asked],
                    learned=_head(supervised, learner, ~inside)(learner.features[places]).float(),
                    query_ids=labels[asked],
                    gallery=embeddings[shown].numpy(),
                    gallery_ids=labels[shown],
                    moments=moments_of(supervised, ~inside),
                )
            )
    return trials


def _head(supervised: Labelled, learner: Learner, among: NDArray[np.bool_]) -> AffineFit:
    """The map from the network's features to the embeddings, fitted to some training images."""
    kept = among[learner.chosen]
    rows = learner.chosen[kept]
    held_out = np.where(supervised[1][rows] >= 0, supervised[1][rows], rows) % 5 == 0
    features = learner.features[torch.from_numpy(kept)]
    return fit_affine([features], supervised[0][rows], torch.from_numpy(held_out))
