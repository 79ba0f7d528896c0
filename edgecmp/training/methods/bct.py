"""BCT: the own margin softmax, and that of the gallery's frozen classifier (Shen et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import BCT, CosFace
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.supervision import Supervision

__all__ = ["BackwardCompatible"]


class _Loss(nn.Module):
    """The weighted sum; the own classifier exists only where it has a weight."""

    def __init__(self, settings: BackwardCompatible, supervision: Supervision) -> None:
        super().__init__()
        self.settings = settings
        scale = settings.scale
        self.own: CosFace | None = None
        if settings.own:
            classes, dim = supervision.classes, supervision.embedding_dim
            self.own = CosFace(classes, dim, scale=scale, margin=settings.margin)
        self.bct = BCT(supervision.classifier, scale=scale, margin=settings.bct_margin)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        loss: Tensor = self.settings.bct * self.bct(batch.embeddings, batch.labels)
        if self.own is not None:
            loss = self.settings.own * self.own(batch.embeddings, batch.labels) + loss
        return loss


@register_method("bct")
@dataclass(frozen=True, kw_only=True, slots=True)
class BackwardCompatible(Method):
    """L = own L1(phi_q, kappa_q) + bct L2(phi_q, kappa_g), what the paper trains with.

    Attributes:
        own: weight of the own margin softmax; 0 leaves it out.
        bct: weight of the softmax over the gallery's classifier.
        scale, margin: of the own classifier; `bct_margin` of the gallery's.
    """

    own: float = 1.0
    bct: float = 1.0
    scale: float = 24.0
    margin: float = 0.2
    bct_margin: float = 0.2
    needs: ClassVar[frozenset[Need]] = frozenset({Need.CLASSIFIER})

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self, supervision)
