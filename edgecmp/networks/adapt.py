"""Gives a trained network a new head, fitted in closed form to the embeddings of a gallery.

The body of a query network computes features that serve other galleries too; only its head, a
linear layer with a batch norm, belongs to one gallery. For another one, or for embeddings of
another length, the head is therefore fitted anew by ridge regression on a sample of images, and the
training starts from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.blocks import Embedding
from edgecmp.networks.query import QueryNet
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.ridge import AffineFit, fit_affine
from edgecmp.networks.supernet import LayerPath, Supernet
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS

__all__ = ["HeadSample", "head_paths", "recalibrate_paths", "refit_head", "refit_shared_head"]

RANDOM_PATHS = 3
"""Random subnets, besides the largest one, that a supernet's shared head is fitted to."""

DEAD = 1e-6
"""Standard deviation of an output, as a share of the largest one, below which it is constant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadSample:
    """The images that a head is fitted on.

    Attributes:
        batches: normalised images (n, 3, S, S) each, of almost equal n; N in all. They are
            iterated over several times.
        targets: the gallery's embeddings of these images (N, D), of unit length.
        held_out: (N,) bool: the images by which the ridge is chosen.
    """

    batches: Iterable[Tensor]
    targets: Tensor
    held_out: Tensor


def head_paths(tier: str, *, embedding_dim: int, input_size: int, seed: int) -> list[Architecture]:
    """The largest architecture of a tier and `RANDOM_PATHS` random ones."""
    largest = Architecture(
        tier=tier,
        blocks=(len(BLOCKS) - 1,) * DEPTH,
        widths=(len(WIDTHS) - 1,) * DEPTH,
        embedding_dim=embedding_dim,
        input_size=input_size,
    )
    drawn = [
        Architecture.random(
            tier,
            seed=seed * RANDOM_PATHS + number,
            embedding_dim=embedding_dim,
            input_size=input_size,
        )
        for number in range(RANDOM_PATHS)
    ]
    return [largest, *drawn]


def refit_head(network: QueryNet, sample: HeadSample) -> AffineFit:
    """Replaces the head of a network by one fitted to the sample; also recalibrates it, in place.

    In evaluation mode the new embedding is the fitted map's output, scaled to unit length.
    """
    fit = fit_affine([pooled_features(network, sample.batches)], sample.targets, sample.held_out)
    network.embedding = _head(fit)
    assert isinstance(network.architecture, Architecture)
    network.architecture = replace(network.architecture, embedding_dim=len(fit.bias))
    return fit


def refit_shared_head(supernet: Supernet, sample: HeadSample, *, seed: int) -> AffineFit:
    """Replaces the head of a supernet by one fitted to several of its subnets, in place.

    Args:
        supernet: its weights before the head are not changed.
        sample: see the class.
        seed: of the random subnets.
    """
    paths = head_paths(
        supernet.tier,
        embedding_dim=supernet.embedding_dim,
        input_size=supernet.input_size,
        seed=seed,
    )
    features = [pooled_features(supernet.extract(path), sample.batches) for path in paths]
    fit = fit_affine(features, sample.targets, sample.held_out)
    supernet.embedding, supernet.embedding_dim = _head(fit), len(fit.bias)
    return fit


@torch.no_grad()
def pooled_features(network: QueryNet, batches: Iterable[Tensor]) -> Tensor:
    """The features (N, C) that the head of a network reads, after recalibration on the images."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recalibrate(network, batches)
    return torch.cat([network.features(batch) for batch in batches])


@torch.no_grad()
def _head(fit: AffineFit) -> Embedding:
    """The head that computes a fitted map up to a positive factor.

    The rows of the linear layer are scaled so that its outputs have the variance 1, and the batch
    norm's statistics are those of its outputs, so that the head computes the same with the
    statistics of a batch of such images. The factor makes the batch norm's weights 1 on average,
    as those of an untrained network are, so that learning rates have their usual effect.
    """
    spread = fit.variance.sqrt()
    largest = float(spread.max())
    spread = spread.clamp_min(DEAD * largest) if largest > 0 else torch.ones_like(spread)
    factor = float(spread.square().mean().rsqrt())
    head = Embedding(fit.weight.shape[1], len(fit.bias))
    head.linear.weight.copy_(fit.weight / spread[:, None])
    variance = fit.variance / spread.square()
    assert head.bn.running_mean is not None
    assert head.bn.running_var is not None
    head.bn.running_mean.copy_(head.linear.weight.double() @ fit.centre)
    head.bn.running_var.copy_(variance)
    head.bn.weight.copy_(factor * spread * torch.sqrt(variance + head.bn.eps))
    head.bn.bias.copy_(factor * fit.bias)
    return head.eval()


@torch.no_grad()
def recalibrate_paths(supernet: Supernet, batches: Iterable[Tensor]) -> None:
    """Replaces the statistics of a supernet's batch norms by those of these images, in place.

    Four paths at full width use every block of every layer once. The statistics of stem, head and
    embedding are those of the last path.

    Args:
        supernet: its weights are not changed.
        batches: normalised images (N, 3, S, S) each; they are iterated over several times.
    """
    for block in range(len(BLOCKS)):
        path = [LayerPath((block,), len(WIDTHS) - 1)] * DEPTH
        recalibrate(_OnPath(supernet, path), batches)


class _OnPath(nn.Module):
    """A supernet along one path."""

    def __init__(self, supernet: Supernet, path: Sequence[LayerPath]) -> None:
        super().__init__()
        self.supernet, self.path = supernet, path

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, D)."""
        embeddings: Tensor = self.supernet(x, self.path)
        return embeddings
