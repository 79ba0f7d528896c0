"""MultiSizeEvaluator: subnets at several deployed input sizes, against one gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.data import Dataset
from edgecmp.gallery.source import Gallery
from edgecmp.networks.architecture import Architecture
from edgecmp.search.evaluation.candidate import Measurement
from edgecmp.search.evaluation.supernet import SupernetEvaluator

__all__ = ["MultiSizeEvaluator"]


class MultiSizeEvaluator:
    """One `SupernetEvaluator` per size, whose batch norms are recalibrated at that size.

    The supernet was trained at its own size, and the same weights serve all sizes. Queries, and the
    candidate's own gallery in M(q,q), are preprocessed at the candidate's size; the gallery model
    keeps its own preprocessing.

    Args:
        supernet: the trained supernet.
        gallery: the gallery that it was trained with, as `open_source` takes it.
        dataset: provides the hold-out identities and the training images for calibration.
        sizes: in pixels.
        calibration: further settings of `SupernetEvaluator`.
    """

    def __init__(
        self,
        supernet: SupernetBundle,
        gallery: Gallery,
        dataset: Dataset,
        sizes: Sequence[int],
        **calibration: int,
    ) -> None:
        self._evaluators = {
            size: SupernetEvaluator(_at_size(supernet, size), gallery, dataset, **calibration)
            for size in sorted(sizes)
        }
        first = next(iter(self._evaluators.values()))
        self.tier = first.tier
        self.embedding_dim = first.embedding_dim
        self.input_size = supernet.preprocessing.input_size
        self.metrics = first.metrics

    def evaluate(self, architecture: Architecture) -> Measurement:
        """Both accuracies of one architecture at its own input size."""
        return self._evaluators[architecture.input_size].evaluate(architecture)

    def to_dict(self) -> dict[str, Any]:
        """What determines its numbers."""
        documents = {size: one.to_dict() for size, one in self._evaluators.items()}
        key = "preprocessing_fingerprint"
        fingerprints = {str(size): document.pop(key) for size, document in documents.items()}
        return {**next(iter(documents.values())), f"{key}s": fingerprints}


def _at_size(supernet: SupernetBundle, size: int) -> SupernetBundle:
    """The supernet with preprocessing at another size."""
    document = replace(supernet.preprocessing, input_size=size).to_dict()
    manifest = supernet.manifest.model_copy(update={"preprocessing": document})
    return replace(supernet, manifest=manifest)
