"""Pruning a gallery model into a query network: the function, and the bundle it is kept in."""

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
from edgecmp.artefacts.bundle import GalleryBundle, Manifest, QueryBundle
from edgecmp.data import load_dataset
from edgecmp.errors import unknown_choice
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.networks.fvcore_flops import count_fvcore
from edgecmp.networks.pruned import Pruned, PrunedNet
from edgecmp.pruning.registry import METHODS

__all__ = ["PruningReport", "prune", "prune_gallery"]

PAPER_SIZE = 224

IMAGES = 512
"""Training images whose responses are looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PruningReport:
    """One row for the gallery model, one for what was cut from it.

    Attributes:
        rows: "network", "params", "flops_224" by fvcore's rules at 224 pixels, and results on the
            search-validation identities in percent ("qq_top1", "qg_top1", ...), before retraining.
        path: the bundle that was written.
    """

    rows: list[dict[str, Any]]
    path: Path

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
        gallery: is not changed.
        method: "magnitude" or "channel".
        amount: share of the filters of each inner convolution, 0 to below 1.
        images: (N, S, S, 3) uint8 training images as the gallery model's preprocessing gives them;
            "channel" looks at their responses.
        seed: decides at which pixels.

    Returns:
        The form and the network, in evaluation mode and before retraining.

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
    cut = copy.deepcopy(gallery.network).eval()
    if not form.whole:
        METHODS[method](cut, form.kept, gallery.preprocessing.normalise(images), seed=seed)
    network = form.build()
    network.load_state_dict(cut.state_dict())
    return form, network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def prune_gallery(
    method: str,
    amount: float,
    *,
    out: str | Path,
    gallery: str | Path | None = None,
    data: str = "emoji",
    seed: int = 0,
) -> PruningReport:
    """Prunes a gallery model and writes the query network that it becomes to `out`.

    Args:
        method: "magnitude" or "channel".
        amount: share of the filters of each inner convolution, 0 to below 1.
        gallery: folder of a gallery model; the starter kit's by default.

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
        {name: round(100 * share, 2) for name, share in holdout.judge(net, calibrate=False).items()}
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
    return PruningReport(rows=rows, path=Path(out))


def _row(name: str, network: nn.Module) -> dict[str, Any]:
    cost = count_fvcore(network, PAPER_SIZE)
    return {
        "network": name,
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "flops_224": cost.flops,
        "macs_224": cost.macs,
    }
