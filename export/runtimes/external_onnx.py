"""A query network that edgecmp did not export, as one of the files that parity compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.runner import Batch, Runner
from edgecmp.networks.onnx_network import OnnxModel

__all__ = ["ExternalOnnxRunner"]


class ExternalOnnxRunner(Runner):
    """An ONNX file with a TOML description, in ONNX Runtime; it prepares its images itself.

    Args:
        model: the opened file.
    """

    name = "onnxruntime"
    target = "onnx"
    package = "onnxruntime"
    batch_size = 32

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        metadata = Metadata(
            target=self.target,
            precision="fp32",  # the strictest bounds, since the file does not state its precision
            input="image",
            architecture={},
            preprocessing=model.preprocessing.to_dict(),
            preprocessing_fingerprint=model.preprocessing.fingerprint,
            gallery_sha256=model.gallery_sha256,
            weights_sha256=model.sha256,
            provenance={},
        )
        super().__init__(Path(model.name), metadata)

    def _open(self, path: Path) -> None:
        """Does nothing: the model is open already."""

    def to_input(self, pixels: NDArray[np.uint8]) -> Batch:
        """See `Runner.to_input`; the model prepares the images itself."""
        return pixels

    def _run(self, images: Batch) -> NDArray[Any]:
        return self._model.embed(images)
