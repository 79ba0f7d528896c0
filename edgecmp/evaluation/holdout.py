"""HoldOut: the validation task of searches, prepared once for many networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecmp.data import Dataset
from edgecmp.gallery.source import Gallery, open_source
from edgecmp.metrics import tar_at_far, top_k
from edgecmp.networks.embed import embed
from edgecmp.networks.layerwise import CACHE_BYTES, LayerwiseEmbedder
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.supernet import Supernet
from edgecmp.preprocessing import Preprocessing

__all__ = ["HoldOut"]

KS = (1, 5, 10, 50)
FAR = 1e-3


class HoldOut:
    """M(q,q) and M(q,g) of query networks on identities outside the training data (supplement A.1).

    The gallery model embeds the gallery of the hold-out once. Each query network embeds queries and
    gallery, since M(q,q) needs both.

    Args:
        dataset: its validation split is the hold-out; batch norms are recalibrated on its training
            images.
        gallery: a gallery, as accepted by `open_source`.
        preprocessing: how images are prepared for the query networks.
        calibration_images: number of training images for the recalibration.
        seed: of their choice, which depends on nothing else.

    Raises:
        UserError: the dataset has no training images or no validation task, or the gallery cannot
            be read.
    """

    def __init__(
        self,
        dataset: Dataset,
        gallery: Gallery,
        preprocessing: Preprocessing,
        *,
        calibration_images: int = 1024,
        seed: int = 0,
    ) -> None:
        dataset.require("train")
        task = dataset.retrieval("validation")
        self.preprocessing = preprocessing
        self.query_ids = task.queries.identities
        self.gallery_ids = task.gallery.identities
        self.cameras = task.cameras
        self.notes = task.notes
        pixels = [images.pixels(preprocessing) for images in (task.queries, task.gallery)]
        self.images = np.concatenate(pixels)
        self.gallery_embeddings = open_source(gallery).embeddings(task.gallery)
        self.calibrate_on(dataset, calibration_images, seed)

    def calibrate_on(self, dataset: Dataset, images: int, seed: int) -> None:
        """Samples the calibration images and stores them, normalised, in batches of about 256."""
        chosen = np.random.default_rng(seed).permutation(len(dataset.train))[:images]
        pixels = dataset.train.pixels(self.preprocessing, np.sort(chosen))
        shuffled = pixels[np.random.default_rng(seed + 1).permutation(len(pixels))]
        count = max(1, len(shuffled) // 256)
        self.batches = [
            self.preprocessing.normalise(part) for part in np.array_split(shuffled, count)
        ]

    @property
    def chance(self) -> dict[str, float]:
        """Expected top-k of a random ranking of G gallery images: k / G."""
        return {f"top{k}": min(1.0, k / len(self.gallery_ids)) for k in KS}

    def evaluate(self, network: nn.Module, *, calibrate: bool = True) -> dict[str, float]:
        """Evaluates a network on the hold-out.

        Args:
            network: takes normalised images (N, 3, S, S) to embeddings (N, D).
            calibrate: recalibrate the network's batch norms first, in place.

        Returns:
            Shares in 0..1 by name: "qq_top1", "qg_top1", ..., "qq_tar", "qg_tar" (TAR@FAR=1e-3).
        """
        if calibrate:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            recalibrate(network, self.batches)
        return self.score(embed(network, self.images, self.preprocessing))

    def subnets(self, supernet: Supernet, *, cache_bytes: int = CACHE_BYTES) -> LayerwiseEmbedder:
        """An embedder of queries and gallery with recalibrated subnets, for use with `score`."""
        parts = np.array_split(self.images, max(1, len(self.images) // 256))
        images = [self.preprocessing.normalise(part) for part in parts]
        return LayerwiseEmbedder(supernet, self.batches, images, cache_bytes=cache_bytes)

    def score(self, embeddings: NDArray[Any]) -> dict[str, float]:
        """The result of `evaluate` for embeddings (Q + G, D) of the queries and the gallery."""
        queries, gallery_by_query = np.split(embeddings, [len(self.query_ids)])
        scores: dict[str, float] = {}
        for name, gallery in (("qq", gallery_by_query), ("qg", self.gallery_embeddings)):
            scores |= self._score(name, queries, gallery)
        return scores

    def _score(self, name: str, queries: NDArray[Any], gallery: NDArray[Any]) -> dict[str, float]:
        task = queries, self.query_ids, gallery, self.gallery_ids
        shares = top_k(*task, ks=KS, cameras=self.cameras)
        tar = tar_at_far(*task, fars=(FAR,), cameras=self.cameras)[FAR]
        return {f"{name}_top{k}": share for k, share in shares.items()} | {f"{name}_tar": tar}
