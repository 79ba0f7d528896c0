"""Prunes a gallery model into a query network, and writes it as a bundle."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecmp import kit
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.data import load_dataset
from edgecmp.errors import unknown_choice
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.networks.fvcore_flops import count_fvcore
from edgecmp.networks.pruned import Pruned, PrunedNet
from edgecmp.pruning.registry import METHODS
from edgecmp.report import Report

__all__ = ["PruneReport", "prune", "prune_gallery"]

PAPER_SIZE = 224

IMAGES = 512
"""Number of training images for the responses of channel pruning."""


COLUMNS = ("network", "params", "flops_224", "qq_top1", "qq_top10", "qg_top1", "qg_top10")


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class PruneReport(Report):
    """Size and results of the gallery model and of the pruned network, one row each.

    Attributes:
        rows: "network", "params", "flops_224" and "macs_224" by fvcore's rules at 224 pixels, and
            results on the hold-out in percent ("qq_top1", "qg_top1", ...), before retraining.
        path: the bundle that was written.
    """

    rows: list[dict[str, Any]]
    path: Path

    def shown_columns(self) -> tuple[str, ...]:
        """What fits a screen."""
        return COLUMNS

    def written(self) -> dict[str, Path]:
        """What was written, and where."""
        return {"the query network": self.path}

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp prune --json` writes."""
        return {"rows": self.rows, "path": str(self.path)}


def prune(
    gallery: GalleryBundle,
    method: str,
    amount: float,
    *,
    images: NDArray[Any],
    seed: int = 0,
) -> tuple[Pruned, PrunedNet]:
    """A copy of the gallery network without `amount` of the filters inside its residual units.

    Args:
        gallery: the gallery model; it is not changed.
        method: "magnitude" or "channel".
        amount: share of the filters of each inner convolution, from 0 to below 1.
        images: (N, S, S, 3) uint8 training images, prepared by the gallery model's preprocessing;
            "channel" uses their responses.
        seed: of the pixels that "channel" samples.

    Returns:
        The form and the network, in evaluation mode, before retraining.

    Raises:
        UserError: there is no such method, or the amount is out of range.
    """
    if method not in METHODS:
        raise unknown_choice("pruning method", method, METHODS)
    form = Pruned.of(
        gallery.network.name,
        amount,
        embedding_dim=gallery.network.embedding_dim,
        input_size=gallery.network.input_size,
    )
    pruned = copy.deepcopy(gallery.network).eval()
    if not form.unpruned:
        METHODS[method](pruned, form.kept, gallery.preprocessing.normalise(images), seed=seed)
    network = form.build()
    network.load_state_dict(pruned.state_dict())
    return form, network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def prune_gallery(
    method: str,
    amount: float,
    *,
    out: str | Path,
    gallery: str | Path | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> PruneReport:
    """Prunes a gallery model and writes the resulting query network to `out`.

    Args:
        method: "magnitude" or "channel".
        amount: share of the filters of each inner convolution, from 0 to below 1.
        out: folder for the bundle.
        gallery: folder of a gallery model; None: the starter kit's.
        data: name or path of the data of the images and of the hold-out.
        seed: of the images and of the pixels that "channel" samples.

    Raises:
        UserError: as for `prune`, or the gallery model cannot be read.
    """
    bundle = GalleryBundle.load(gallery or kit.path("gallery"))
    dataset = load_dataset(data)
    chosen = np.random.default_rng(seed).permutation(len(dataset.train))[:IMAGES]
    images = dataset.train.pixels(bundle.preprocessing, np.sort(chosen))
    form, network = prune(bundle, method, amount, images=images, seed=seed)
    holdout = HoldOut(dataset, bundle, bundle.preprocessing)
    scores = [
        {
            name: round(100 * share, 2)
            for name, share in holdout.evaluate(net, calibrate=False).items()
        }
        for net in (bundle.network, network)
    ]
    manifest = Manifest(
        kind="query",
        preprocessing=bundle.manifest.preprocessing,
        gallery_sha256=bundle.sha256,
        data={"name": dataset.name, "fingerprint": dataset.train.fingerprint},
        recipe={"method": method, "amount": amount, "images": len(images), "seed": seed},
        metrics={"holdout": scores[1]},
    )
    written = QueryBundle(network=network, manifest=manifest).save(out)
    rows = [
        _row(name, net) | row
        for name, net, row in zip(
            (form.gallery, form.label), (bundle.network, written.network), scores, strict=True
        )
    ]
    return PruneReport(rows=rows, path=Path(out))


def _row(name: str, network: nn.Module) -> dict[str, Any]:
    cost = count_fvcore(network, PAPER_SIZE)
    return {
        "network": name,
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "flops_224": cost.flops,
        "macs_224": cost.macs,
    }
