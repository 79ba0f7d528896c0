"""Start: a trained network whose weights initialise a training, adapted to the gallery.

A supernet's body serves other galleries too. If it was trained for another gallery than the
training's, only its head is replaced: see `edgecmp.networks.adapt`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import torch
from torch import nn

from edgecmp.artefacts.bundle import QueryBundle, SupernetBundle
from edgecmp.errors import UserError
from edgecmp.gallery.source import GallerySource, Need
from edgecmp.networks.adapt import head_paths, recalibrate_paths, refit_head, refit_shared_head
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.ridge import AffineFit
from edgecmp.networks.supernet import Supernet
from edgecmp.networks.widen import widen
from edgecmp.progress import say
from edgecmp.training.head_sample import TrainingSample
from edgecmp.training.supervision import Supervision

__all__ = ["QueryStart", "Start", "SupernetStart", "start_settings"]


class Start(ABC):
    """A trained network whose weights initialise another.

    Attributes:
        bundle: the trained network.
    """

    bundle: SupernetBundle | QueryBundle

    @abstractmethod
    def fits_head(self, source: GallerySource, tier: str) -> bool:
        """Whether its head is replaced by one that is fitted to the gallery.

        Args:
            source: the gallery of the training.
            tier: of the network that is trained.
        """

    @abstractmethod
    def fill(self, network: nn.Module, supervision: Supervision, seed: int) -> None:
        """Initialises a network in place, and says from what.

        Args:
            network: that is trained.
            supervision: the gallery's outputs for the training images.
            seed: of the sample of images on which a new head is fitted.

        Raises:
            UserError: the gallery has no embedding of an image of the sample.
        """

    @abstractmethod
    def body(self, network: nn.Module) -> QueryNet | None:
        """A network whose features are those that the trained one starts with; None: there is none.

        Args:
            network: that is trained; of a supernet, its largest subnet counts.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryStart(Start):
    """A query network of the same architecture."""

    bundle: QueryBundle

    def fits_head(self, source: GallerySource, tier: str) -> bool:
        """Never: the training itself adapts the head."""
        return False

    def fill(self, network: nn.Module, supervision: Supervision, seed: int) -> None:
        """See `Start.fill`."""
        network.load_state_dict(self.bundle.network.state_dict())
        say(f"The training starts from the query network in {self.bundle.folder}.")

    def body(self, network: nn.Module) -> QueryNet | None:
        """See `Start.body`."""
        found = self.bundle.network
        return copy.deepcopy(found) if isinstance(found, QueryNet) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SupernetStart(Start):
    """A supernet of the same tier or a narrower one.

    Attributes:
        bundle: the supernet.
        origin: it in words, such as "the starter kit's supernet".
    """

    bundle: SupernetBundle
    origin: str

    def fits_head(self, source: GallerySource, tier: str) -> bool:
        """If it belongs to another gallery, or reads the features of another tier."""
        return self.bundle.gallery_sha256 != source.sha256 or self.bundle.network.tier != tier

    def fill(self, network: nn.Module, supervision: Supervision, seed: int) -> None:
        """See `Start.fill`; all random numbers are drawn from `seed`."""
        assert isinstance(network, Supernet | QueryNet)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            tier = network.tier if isinstance(network, Supernet) else network.architecture.tier
            self._require_embeddings(supervision, tier)
            sample = TrainingSample.draw(supervision, seed)
            if isinstance(network, Supernet):
                fit = self._fill_supernet(network, sample)
            else:
                fit = self._fill_query(network, sample)
        widened = "" if tier == self.bundle.network.tier else f", widened to the {tier} tier"
        head = "" if fit is None else f", with a new head{_fitted(fit, sample)}"
        say(f"The training starts from {self.origin}{widened}{head}.")

    def body(self, network: nn.Module) -> QueryNet:
        """See `Start.body`."""
        if isinstance(network, Supernet):
            tier, size = network.tier, network.input_size
            (path, *_) = head_paths(tier, embedding_dim=1, input_size=size, seed=0)
        else:
            assert isinstance(network, QueryNet)
            assert isinstance(network.architecture, Architecture)
            path = network.architecture
        supernet = self._body(path.tier)
        return supernet.extract(replace(path, embedding_dim=supernet.embedding_dim))

    def _fits(self, supervision: Supervision, tier: str) -> bool:
        """Whether its head is replaced: see `fits_head`, or because it learned other targets."""
        learned = self.bundle.manifest.metrics.get("adapter")
        wanted = supervision.facts.get("adapter")
        return self.fits_head(supervision.source, tier) or _kind(learned) != _kind(wanted)

    def _require_embeddings(self, supervision: Supervision, tier: str) -> None:
        """Refuses a gallery that a new head cannot be fitted to."""
        source = supervision.source
        provided = source.provides(supervision.train)
        if self.fits_head(source, tier) and Need.EMBEDDINGS not in provided:
            raise UserError(
                f"The head of {self.origin} cannot be fitted to {source.name}, which does not have "
                "embeddings of all training images.",
                "Start from random weights: --start none for a supernet, --supernet none for "
                "a query network.",
            )

    def _body(self, tier: str) -> Supernet:
        """The supernet, widened if the tier is another."""
        supernet = self.bundle.network
        if supernet.tier == tier:
            return supernet
        wide = Supernet(tier, embedding_dim=supernet.embedding_dim, input_size=supernet.input_size)
        widen(supernet, wide)
        return wide

    def _fill_supernet(self, network: Supernet, sample: TrainingSample) -> AffineFit | None:
        supernet, fit = self._body(network.tier), None
        if supernet is not self.bundle.network or supernet.input_size != network.input_size:
            recalibrate_paths(supernet, sample.batches)
        supernet.input_size = network.input_size
        if self._fits(sample.supervision, network.tier):
            fit = refit_shared_head(supernet, sample.with_targets(), seed=sample.seed)
        network.load_state_dict(supernet.state_dict())
        return fit

    def _fill_query(self, network: QueryNet, sample: TrainingSample) -> AffineFit | None:
        """Extracts the subnet and recalibrates it: a supernet's statistics are over all paths."""
        architecture, fit = network.architecture, None
        assert isinstance(architecture, Architecture)
        supernet = self._body(architecture.tier)
        subnet = supernet.extract(replace(architecture, embedding_dim=supernet.embedding_dim))
        if self._fits(sample.supervision, architecture.tier):
            fit = refit_head(subnet, sample.with_targets())
        else:
            recalibrate(subnet, sample.batches)
        network.load_state_dict(subnet.state_dict())
        return fit


def _kind(adapter: Mapping[str, Any] | None) -> tuple[str, float] | None:
    """What distinguishes adapters of one gallery, by what a manifest records of them."""
    return None if adapter is None else (adapter["kind"], adapter["shrinkage"])


def _fitted(fit: AffineFit, sample: TrainingSample) -> str:
    """What a head was fitted to."""
    rank = f" (mean reciprocal rank of held-out ones: {fit.rank:.2f})" if isfinite(fit.rank) else ""
    return (
        f" that was fitted to {sample.supervision.source.name} on {len(sample):,} training "
        f"images{rank}"
    )


def start_settings(start: Start | None, source: GallerySource, tier: str) -> dict[str, Any]:
    """What is compared about a start when a training resumes.

    Args:
        start: of the training, if any.
        source: the gallery of the training.
        tier: of the network that is trained.
    """
    if start is None:
        return {"start_sha256": None, "start_head": None}
    head = "fitted" if start.fits_head(source, tier) else "kept"
    return {"start_sha256": start.bundle.sha256, "start_head": head}
