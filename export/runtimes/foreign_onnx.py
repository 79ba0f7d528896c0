"""A query network from elsewhere, as one of the files that `edgecmp parity` compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.runners import Batch, Runner
from edgecmp.networks.onnx_network import OnnxModel

__all__ = ["ForeignRunner"]


class ForeignRunner(Runner):
    """An ONNX file that a TOML file describes, in ONNX Runtime; it prepares its images itself.

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
            precision="fp32",  # the strictest bounds: nothing says what it was made with
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
        """It is open."""

    def read(self, pixels: NDArray[np.uint8]) -> Batch:
        return pixels

    def _run(self, images: Batch) -> NDArray[Any]:
        return self._model.embed(images)
