"""SupernetEvaluator: what an architecture is worth, by the supernet's weights and the hold-out."""

from __future__ import annotations

from typing import Any

import torch

from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.data import Dataset
from edgecmp.errors import UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.gallery.source import Gallery, open_source
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.layerwise import CACHE_BYTES
from edgecmp.search.evaluation.candidate import Measurement

__all__ = ["CALIBRATION_IMAGES", "METRICS", "SupernetEvaluator"]

METRICS = ("top1", "top5", "top10", "top50", "tar")
"""Accuracies measured for every candidate; "tar" is TAR@FAR=1e-3 (supplement A.3, face)."""

CALIBRATION_IMAGES = 1024

METHOD = "layerwise/1"
"""How candidates are computed: histories of another way differ in the last bits."""


class SupernetEvaluator:
    """Recalibrates the batch norms of a subnet, and measures its M(q,q) and M(q,g).

    Calibration images, hold-out and the gallery model's embeddings are fixed when it is made and
    the supernet is never changed, so the numbers of an architecture depend neither on what was
    evaluated before nor on the search's seed. They are equal bit for bit between processes on the
    same processor with the same number of torch threads.

    Args:
        supernet: the trained supernet.
        gallery: the gallery, as `open_source` takes it, that it was trained to be compatible with.
        dataset: gives the hold-out identities and the training images to calibrate on.
        calibration_images: how many training images batch norms are recalibrated on.
        calibration_seed: which ones.
        cache_bytes: what feature maps kept for later candidates may take; it changes no number.

    Raises:
        UserError: the supernet was trained for another gallery model.
    """

    def __init__(
        self,
        supernet: SupernetBundle,
        gallery: Gallery,
        dataset: Dataset,
        *,
        calibration_images: int = CALIBRATION_IMAGES,
        calibration_seed: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        source = open_source(gallery)
        if supernet.manifest.gallery_sha256 not in (None, source.sha256):
            raise UserError(
                f"The supernet in {supernet.folder} was trained for another gallery model than the "
                f"one in {source.name}.",
                "Name with --gallery the gallery model that it was trained with.",
            )
        self.tier = supernet.network.tier
        self.embedding_dim = supernet.network.embedding_dim
        self.input_size = supernet.preprocessing.input_size
        self.metrics: tuple[str, ...] = METRICS
        self._about: dict[str, Any] = {
            "name": "supernet",
            "method": METHOD,
            "tier": self.tier,
            "supernet_sha256": supernet.sha256,
            "gallery_sha256": source.sha256,
            "preprocessing_fingerprint": supernet.preprocessing.fingerprint,
            "data": dataset.name,
            "train_fingerprint": dataset.train.fingerprint,
            "validation_fingerprint": dataset.validation.fingerprint,
            "calibration_images": calibration_images,
            "calibration_seed": calibration_seed,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }
        self.holdout = HoldOut(
            dataset,
            source,
            supernet.preprocessing,
            calibration_images=calibration_images,
            seed=calibration_seed,
        )
        self._subnets = self.holdout.subnets(supernet.network, cache_bytes=cache_bytes)

    def evaluate(self, architecture: Architecture) -> Measurement:
        """Both accuracies of one architecture, by every metric of `METRICS`."""
        scores = self.holdout.score(self._subnets.embed(architecture))
        return Measurement(
            mqq={metric: scores[f"qq_{metric}"] for metric in METRICS},
            mqg={metric: scores[f"qg_{metric}"] for metric in METRICS},
        )

    def to_dict(self) -> dict[str, Any]:
        """All that decides its numbers."""
        return dict(self._about)
