"""BCT: margin softmax over a trained classifier and over the gallery model's frozen one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from edgecmp.gallery.source import Need
from edgecmp.losses import BCT, CosFace
from edgecmp.training.fields import Number, Positive
from edgecmp.training.methods.method import Batch, Method, register_method
from edgecmp.training.supervision import Supervision

__all__ = ["BackwardCompatible"]


class _Loss(nn.Module):
    """The weighted sum; the trained classifier exists only if its weight is not 0."""

    def __init__(self, settings: BackwardCompatible, supervision: Supervision) -> None:
        super().__init__()
        self.settings = settings
        scale, frozen_scale = settings.scale, settings.scale * supervision.sharpness
        self.own: CosFace | None = None
        if settings.own:
            classes, dim = supervision.classes, supervision.embedding_dim
            self.own = CosFace(classes, dim, scale=scale, margin=settings.margin)
        self.bct = BCT(supervision.classifier, scale=frozen_scale, margin=settings.bct_margin)

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        loss: Tensor = self.settings.bct * self.bct(batch.embeddings, batch.labels)
        if self.own is not None:
            loss = self.settings.own * self.own(batch.embeddings, batch.labels) + loss
        return loss


@register_method("bct")
@dataclass(frozen=True, kw_only=True, slots=True)
class BackwardCompatible(Method):
    """L = own L1(phi_q, kappa_q) + bct L2(phi_q, kappa_g), the training loss of the paper.

    Source: Shen et al., "Towards Backward-Compatible Representation Learning", CVPR 2020,
    https://arxiv.org/abs/2003.11942; used by CMP-NAS, https://arxiv.org/abs/2105.06047.

    Attributes:
        own: weight of the margin softmax over the query network's classifier; 0 omits it.
        bct: weight of the margin softmax over the gallery model's classifier.
        scale: of both.
        margin: of the query network's classifier.
        bct_margin: of the gallery model's classifier.
    """

    own: Number = 1.0
    bct: Number = 1.0
    scale: Positive = 24.0
    margin: Number = 0.2
    bct_margin: Number = 0.2
    needs: ClassVar[frozenset[Need]] = frozenset({Need.CLASSIFIER})
    uses_labels: ClassVar[bool] = True

    def loss(self, supervision: Supervision) -> nn.Module:
        """See `Method.loss`."""
        return _Loss(self, supervision)
