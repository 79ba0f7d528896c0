"""CompatibleLoss: the terms that tie a query network to its gallery model, with their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgecmp.bundle import GalleryBundle
from edgecmp.data import ImageSet
from edgecmp.embedding import embed
from edgecmp.errors import UserError
from edgecmp.losses import BCT, CosFace, EmbeddingRegression
from edgecmp.preprocessing import Preprocessing

__all__ = ["CompatibleLoss", "LossWeights"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights:
    """L = own L1(phi_q, kappa_q) + bct L2(phi_q, kappa_g) + regression terms 1 - cos(phi_q, phi_g).

    Attributes:
        own: weight of the query network's own margin softmax (vanilla training).
        bct: weight of the softmax over the gallery's frozen classifier.
        regression: weight of the regression to the gallery's embedding of the clean image, which
            is computed once.
        imitation: weight of the regression to the gallery's embedding of the very image that the
            query network sees, computed at each step: function matching (Beyer et al. 2022).
        mixed: share of each batch, 0..1, that is turned, mirrored and blended with other images;
            only imitation knows what to answer there, so the other terms leave these images out.
        scale, margin: of the own classifier; `bct_margin` of the gallery's.
    """

    own: float = 0.0
    bct: float = 1.0
    regression: float = 0.0
    imitation: float = 0.0
    mixed: float = 0.0
    scale: float = 24.0
    margin: float = 0.2
    bct_margin: float = 0.0


class CompatibleLoss(nn.Module):
    """The weighted sum; parts of weight 0 are neither built nor computed.

    Raises:
        UserError: imitation is asked for, but the two networks prepare images differently; or BCT
            is, but the gallery model's classifier is one of other identities.
    """

    clean: Tensor

    def __init__(
        self,
        weights: LossWeights,
        gallery: GalleryBundle,
        train: ImageSet,
        preprocessing: Preprocessing,
    ) -> None:
        super().__init__()
        if weights.imitation and preprocessing.fingerprint != gallery.preprocessing.fingerprint:
            raise UserError(
                f"Imitation shows both networks the same images, but the gallery model in "
                f"{gallery.folder} prepares them differently.",
                "Use a recipe of the gallery model's input size, or one with regression instead.",
            )
        trained_on = gallery.manifest.data
        if weights.bct and trained_on.get("fingerprint") != train.fingerprint:
            raise UserError(
                f"BCT needs the gallery model's classifier of the training identities, but the "
                f"model in {gallery.folder} was trained on {trained_on.get('name', 'other data')}, "
                f"not on these images of {train.name}.",
                "Train a gallery model on them with `edgecmp train gallery --data`, then name it "
                "with --gallery.",
            )
        self.weights = weights
        classes, embedding_dim = gallery.classifier.shape
        self.labels = torch.from_numpy(train.identities)
        self.regression = EmbeddingRegression()
        self.own: CosFace | None = None
        self.bct: BCT | None = None
        if weights.own:
            self.own = CosFace(classes, embedding_dim, scale=weights.scale, margin=weights.margin)
        if weights.bct:
            self.bct = BCT(gallery.classifier, scale=weights.scale, margin=weights.bct_margin)
        if weights.regression:
            prepare = gallery.preprocessing
            parts = [
                torch.from_numpy(embed(gallery.network, part, prepare))
                for part in train.parts(prepare)
            ]
            self.register_buffer("clean", torch.cat(parts), persistent=False)
        self._gallery = (gallery.network.eval(),)  # in a tuple: frozen, not part of this module

    def mix(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, 3, S, S), a first share of them in random directions, blended pairwise."""
        mixed = self._mixed(len(images))
        if mixed:
            share = torch.rand(mixed, 1, 1, 1, generator=generator)
            images = images.clone()
            turned = _in_random_directions(images[:mixed], generator)
            images[:mixed] = torch.lerp(turned, turned.roll(-1, 0), share)
        return images

    def forward(self, embeddings: Tensor, indices: Tensor, images: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            embeddings: (N, D), of unit length.
            indices: training indices (N,).
            images: what `mix` gave and the network saw, (N, 3, S, S).
        """
        weights = self.weights
        loss = embeddings.new_zeros(())
        if weights.imitation:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                targets = self._gallery[0](images)
            loss = loss + weights.imitation * self.regression(embeddings, targets)
        mixed = self._mixed(len(images))
        embeddings, indices = embeddings[mixed:], indices[mixed:]
        labels = self.labels[indices]
        if self.own is not None:
            loss = loss + weights.own * self.own(embeddings, labels)
        if self.bct is not None:
            loss = loss + weights.bct * self.bct(embeddings, labels)
        if weights.regression:
            loss = loss + weights.regression * self.regression(embeddings, self.clean[indices])
        return loss

    def _mixed(self, images: int) -> int:
        """How many images of a batch are blended."""
        return int(self.weights.mixed * images)


def _in_random_directions(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, 3, S, S), each turned by quarters and mirrored at random: 8 directions."""
    direction = torch.randint(8, (len(images),), generator=generator)
    images = images.clone()
    for value in range(1, 8):
        chosen = direction == value
        part = images[chosen].rot90(value % 4, (2, 3))
        images[chosen] = part.flip(3) if value >= 4 else part
    return images
