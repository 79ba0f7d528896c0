"""SupernetEvaluator: accuracies of an architecture, by the supernet's weights on the hold-out."""

from __future__ import annotations

from typing import Any

import torch

from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.data import Dataset, load_dataset
from edgecmp.data.protocol_names import GALLERY_KNOWN, KNOWN_SENTENCE
from edgecmp.errors import UserError
from edgecmp.evaluation.holdout import HoldOut
from edgecmp.gallery.source import Gallery, open_source
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.layerwise import CACHE_BYTES
from edgecmp.search.evaluation.candidate import Measurement

__all__ = ["CALIBRATION_IMAGES", "METRICS", "SupernetEvaluator", "open_evaluator"]

METRICS = ("top1", "top5", "top10", "top50", "tar")
"""Accuracies measured for every candidate; "tar" is TAR@FAR=1e-3 (supplement A.3, face)."""

CALIBRATION_IMAGES = 1024

METHOD = "layerwise/1"
"""Identifies how candidates are computed: another method differs in the last bits."""


class SupernetEvaluator:
    """Recalibrates the batch norms of a subnet, and measures its M(q,q) and M(q,g).

    Calibration images, hold-out and the gallery model's embeddings are fixed at construction and
    the supernet is never changed, so the numbers of an architecture depend neither on previous
    evaluations nor on the search's seed. They are equal bit for bit between processes on the same
    processor with the same number of torch threads.

    Args:
        supernet: the trained supernet.
        gallery: the gallery that it was trained with, as `open_source` takes it.
        dataset: provides the hold-out identities and the training images for calibration.
        calibration_images: number of training images that batch norms are recalibrated on.
        calibration_seed: selects them.
        cache_bytes: memory for feature maps kept for later candidates; it changes no number.

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
                f"The supernet in {supernet.folder} was trained for another gallery model than "
                f"{source.name}.",
                "Pass the gallery model that it was trained with as --gallery.",
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
        known = [KNOWN_SENTENCE] if supernet.protocol_name == GALLERY_KNOWN else []
        if notes := [*self.holdout.notes, *known]:
            self._about["queries_note"] = " ".join(notes)
        self._subnets = self.holdout.subnets(supernet.network, cache_bytes=cache_bytes)

    def evaluate(self, architecture: Architecture) -> Measurement:
        """Both accuracies of one architecture, by every metric of `METRICS`."""
        scores = self.holdout.score(self._subnets.embed(architecture))
        return Measurement(
            mqq={metric: scores[f"qq_{metric}"] for metric in METRICS},
            mqg={metric: scores[f"qg_{metric}"] for metric in METRICS},
        )

    def to_dict(self) -> dict[str, Any]:
        """What determines its numbers."""
        return dict(self._about)


def open_evaluator(
    supernet: SupernetBundle,
    *,
    gallery: Gallery,
    data: str,
    calibration_seed: int = 0,
    cache_bytes: int = CACHE_BYTES,
) -> SupernetEvaluator:
    """The evaluator of a supernet on the hold-out of a data set.

    Args:
        supernet: the trained supernet.
        gallery: the gallery that it was trained with, as `open_source` takes it.
        data: the data set, as `load_dataset` takes it.
        calibration_seed: see `SupernetEvaluator`.
        cache_bytes: see `SupernetEvaluator`.

    Raises:
        UserError: the supernet was trained for another gallery model, or there is no such data set.
    """
    return SupernetEvaluator(
        supernet,
        gallery,
        load_dataset(data),
        calibration_seed=calibration_seed,
        cache_bytes=cache_bytes,
    )
