"""Procrustes: trains a network independently, then rotates its embeddings to the gallery's."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.networks.embed import embed
from edgecmp.networks.rotate_embedding import rotate_embedding
from edgecmp.training.fields import Number, Positive
from edgecmp.training.methods.method import Method, register_method
from edgecmp.training.methods.scratch import QueryClassifier
from edgecmp.training.supervision import Supervision

__all__ = ["Procrustes", "orthogonal_map"]


def orthogonal_map(source: Tensor, target: Tensor) -> Tensor:
    """The orthogonal R (D, D), float64, that minimises sum ||R s - t||^2.

    Source: Schoenemann, "A Generalized Solution of the Orthogonal Procrustes Problem",
    Psychometrika 1966.

    Args:
        source: (N, D).
        target: (N, D).
    """
    u, _, vh = torch.linalg.svd(target.double().T @ source.double())
    rotation: Tensor = u @ vh
    return rotation


@register_method("procrustes")
@dataclass(frozen=True, kw_only=True, slots=True)
class Procrustes(Method):
    """L = L1(phi_q, kappa_q) as for "scratch"; then phi_q becomes R phi_q with an orthogonal R.

    R is fitted on the training images and folded into the last linear layer, so the deployed
    network has the same cost. Distances between its embeddings do not change, so M(q,q) equals that
    of "scratch". It is a lower bound that other methods should exceed.

    Source: see `orthogonal_map`.

    Attributes:
        scale, margin: of the classifier.
    """

    scale: Positive = 24.0
    margin: Number = 0.2
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    post_hoc: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return QueryClassifier(supervision, scale=self.scale, margin=self.margin)

    def check(self, network: nn.Module) -> None:
        """Rotates a copy of the network, to see whether its last layer allows it."""
        dim = int(network.architecture.embedding_dim)  # type: ignore[union-attr, arg-type]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            rotation, _ = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64))
        rotate_embedding(copy.deepcopy(network), rotation)

    def finish(self, network: nn.Module, supervision: Supervision) -> None:
        """Rotates the network's embeddings.

        Raises:
            UserError: the network's last layer does not allow it.
        """
        prepare = supervision.preprocessing
        batches = supervision.train.batches(prepare)
        found = np.concatenate([embed(network, batch, prepare) for batch in batches])
        rotation = orthogonal_map(torch.from_numpy(found), supervision.targets)
        rotate_embedding(network, rotation)
