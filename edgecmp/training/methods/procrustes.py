"""Procrustes: an independent network, turned onto the gallery's space after it is trained."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.networks.embed import embed
from edgecmp.networks.rotate_embedding import turn_embedding
from edgecmp.training.methods.method import Method, register_method
from edgecmp.training.methods.scratch import OwnClassifier
from edgecmp.training.supervision import Supervision

__all__ = ["Procrustes", "orthogonal_map"]


def orthogonal_map(source: Tensor, target: Tensor) -> Tensor:
    """The orthogonal R that minimises sum ||R s - t||^2 (Schoenemann 1966), float64 (D, D).

    Args:
        source, target: (N, D).
    """
    u, _, vh = torch.linalg.svd(target.double().T @ source.double())
    rotation: Tensor = u @ vh
    return rotation


@register_method("procrustes")
@dataclass(frozen=True, kw_only=True, slots=True)
class Procrustes(Method):
    """L = L1(phi_q, kappa_q) as "scratch"; then phi_q becomes R phi_q, R orthogonal.

    R is fitted on the training images and folded into the last linear layer, so the network that
    is deployed costs the same. Distances among its own embeddings stay as they were: M(q,q) is that
    of "scratch". It is the floor of what any method must beat.

    Attributes:
        scale, margin: of the classifier.
    """

    scale: float = 24.0
    margin: float = 0.2
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    post_hoc: ClassVar[bool] = True

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return OwnClassifier(supervision, scale=self.scale, margin=self.margin)

    def check(self, network: nn.Module) -> None:
        """Turns a copy, which shows whether the last layer takes a map."""
        dim = int(network.architecture.embedding_dim)  # type: ignore[union-attr, arg-type]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            turn, _ = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64))
        turn_embedding(copy.deepcopy(network), turn)

    def finish(self, network: nn.Module, supervision: Supervision) -> None:
        """Turns the network's embeddings.

        Raises:
            UserError: the network's last layer cannot take the map.
        """
        prepare = supervision.preprocessing
        parts = [embed(network, part, prepare) for part in supervision.train.parts(prepare)]
        found = torch.from_numpy(np.concatenate(parts))
        turn_embedding(network, orthogonal_map(found, supervision.embeddings))
