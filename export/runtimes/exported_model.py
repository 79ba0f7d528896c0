"""ExportedModel: an exported file as an embedder, in the first runtime here that loads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecmp import integrity
from edgecmp.export.runtimes.open import open_model
from edgecmp.export.runtimes.runner import Runner
from edgecmp.gallery.open import open_query
from edgecmp.networks.embed import Embedder
from edgecmp.preprocessing import Preprocessing

__all__ = ["ExportedModel", "open_embedder", "open_exported"]

SUFFIXES = (".tflite", ".onnx", ".mlpackage")


class ExportedModel:
    """An exported query network, run as a phone would run it.

    Args:
        runner: the opened file.
    """

    external = False

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.metadata = runner.metadata
        self.name = str(runner.path)
        self.runtime = f"{runner.name} {runner.version}"

    @property
    def sha256(self) -> str:
        """Of the weights of the network that it was exported from."""
        return self.metadata.weights_sha256

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are prepared for it: what the file itself says."""
        return self.runner.preprocessing

    @property
    def gallery_sha256(self) -> str | None:
        """The gallery model that it is compatible with."""
        return self.metadata.gallery_sha256

    @property
    def embedding_dim(self) -> int:
        """D of its embeddings."""
        return self.metadata.build_architecture(source=self.name).embedding_dim

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Prepared images (N, S, S, 3) to embeddings (N, D) of unit length."""
        return self.runner.embed(images)


def open_exported(path: Path) -> ExportedModel:
    """Opens an exported file.

    Raises:
        UserError: it was changed since it was written, is not an edgecmp export, or no runtime
            that loads it is installed.
    """
    return ExportedModel(open_model(path)[0])


def open_embedder(path: Path) -> Embedder:
    """Opens a query network, whatever it is stored in.

    Args:
        path: an exported file, which runs in its runtime; a bundle's folder; or an .onnx file or
            .toml description of a network that was made with other tools.

    Raises:
        UserError: it is none of these, or it is truncated or changed.
    """
    if path.suffix == ".onnx" and path.is_file() and not integrity.verify(path):
        return open_query(path)
    return open_exported(path) if path.suffix in SUFFIXES else open_query(path)
