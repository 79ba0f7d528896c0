"""GallerySource: the interface of a gallery for training, hold-out, search and evaluation.

A gallery may be an edgecmp bundle, an ONNX file, or a table of embeddings of a model that is not
available. What it provides decides which methods can train against it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecmp import kit
from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.data import ImageSet
from edgecmp.gallery.embedding_table import EmbeddingTable, describes_table
from edgecmp.gallery.index_manifest import is_index
from edgecmp.gallery.open import open_gallery
from edgecmp.kept import kept
from edgecmp.networks.embed import Embedder, embed_set
from edgecmp.preprocessing import Preprocessing

__all__ = ["Gallery", "GallerySource", "ModelSource", "Need", "TableSource", "open_source"]


class Need(Enum):
    """What a training method may need from a gallery, in words for messages."""

    EMBEDDINGS = "embeddings of the training images"
    CLASSIFIER = "a classifier of the training identities, or embeddings to derive one from"
    NETWORK = "the network itself, to embed the augmented images"


class GallerySource(ABC):
    """A gallery.

    Attributes:
        name: its path, for reports and errors.
        sha256: the hash by which other artefacts refer to it.
        embedding_dim: D of its embeddings.
    """

    name: str
    sha256: str
    embedding_dim: int

    @abstractmethod
    def provides(self, train: ImageSet) -> frozenset[Need]:
        """What it provides for training on these images."""

    @abstractmethod
    def embeddings(self, images: ImageSet) -> NDArray[np.float32]:
        """Embeddings of the images without augmentation, (N, D), of unit length.

        Raises:
            UserError: it has no embedding for some of them.
        """

    @abstractmethod
    def missing(self, images: ImageSet) -> int:
        """Number of images for which it has no embedding."""

    def classifier(self, train: ImageSet) -> Tensor | None:
        """Its trained classifier (K, D) of the identities of these images; None if it has none."""
        return None

    def embed_normalised(self, images: Tensor, preprocessing: Preprocessing) -> Tensor:
        """Embeddings (N, D) of the inputs of a query network; needs `Need.NETWORK`.

        Args:
            images: (N, 3, S, S), normalised by `preprocessing`.
            preprocessing: of the query network; `same_pixels` must be true for it.
        """
        raise NotImplementedError

    def embed_planes(self, planes: Tensor) -> Tensor:
        """Embeddings (N, D) of changed images at its network's size; needs `Need.NETWORK`.

        Args:
            planes: float32 (N, 3, H, W) in 0..255, RGB, which are overwritten.
        """
        raise NotImplementedError

    @property
    def reads(self) -> Preprocessing:
        """How images are prepared for its network; needs `Need.NETWORK`."""
        raise NotImplementedError

    def same_pixels(self, preprocessing: Preprocessing) -> bool:
        """Whether its network reads the same pixels as a query network of this preprocessing."""
        return False


class ModelSource(GallerySource):
    """A gallery model that can be run: an edgecmp bundle or an ONNX file."""

    def __init__(self, model: Embedder) -> None:
        self.model = model
        self.name, self.sha256 = model.name, model.sha256
        self.embedding_dim = model.embedding_dim
        if isinstance(model, GalleryBundle):
            model.network.eval()

    def provides(self, train: ImageSet) -> frozenset[Need]:
        """Everything: see `GallerySource.provides`."""
        return frozenset(Need)

    def embeddings(self, images: ImageSet) -> NDArray[np.float32]:
        """See `GallerySource.embeddings`."""
        key = "embeddings", self.sha256, self.reads.fingerprint, images.fingerprint
        found: NDArray[np.float32] = kept(key, lambda: embed_set(self.model, images))
        return found.copy()

    def missing(self, images: ImageSet) -> int:
        """Zero: see `GallerySource.missing`."""
        return 0

    def classifier(self, train: ImageSet) -> Tensor | None:
        """The classifier of a bundle, if the bundle was trained on exactly these images."""
        if not isinstance(self.model, GalleryBundle):
            return None
        trained_on = self.model.manifest.data.get("fingerprint")
        return self.model.classifier if trained_on == train.fingerprint else None

    @property
    def reads(self) -> Preprocessing:
        """See `GallerySource.reads`."""
        return self.model.preprocessing

    def same_pixels(self, preprocessing: Preprocessing) -> bool:
        """See `Preprocessing.same_pixels`."""
        return self.reads.same_pixels(preprocessing)

    @torch.no_grad()
    def embed_normalised(self, images: Tensor, preprocessing: Preprocessing) -> Tensor:
        """See `GallerySource.embed_normalised` and `embed_planes`."""
        same = self.model.preprocessing.fingerprint == preprocessing.fingerprint
        if same and isinstance(self.model, GalleryBundle):
            return self._in_bfloat16(self.model, images)
        return self.embed_planes(preprocessing.denormalise(images))

    @torch.no_grad()
    def embed_planes(self, planes: Tensor) -> Tensor:
        """See `GallerySource`; a bundle runs in bfloat16, an ONNX file on 8-bit pixels."""
        if isinstance(self.model, GalleryBundle):
            return self._in_bfloat16(self.model, self.model.preprocessing.normalise_planes(planes))
        pixels = planes.round_().clamp_(0, 255).to(torch.uint8)
        embedded = self.model.embed(pixels.permute(0, 2, 3, 1).contiguous().numpy())
        return torch.from_numpy(embedded)

    @staticmethod
    def _in_bfloat16(model: GalleryBundle, inputs: Tensor) -> Tensor:
        """Embeddings (N, D) of normalised inputs (N, 3, S, S)."""
        with torch.autocast("cpu", torch.bfloat16):
            targets: Tensor = model.network(inputs)
        return targets


class TableSource(GallerySource):
    """A table of embeddings without the network that computed them."""

    def __init__(self, table: EmbeddingTable) -> None:
        self.table = table
        self.name, self.sha256 = table.name, table.sha256
        self.embedding_dim = table.embeddings.shape[1]

    def provides(self, train: ImageSet) -> frozenset[Need]:
        """Embeddings and a classifier derived from them, if it has all training images."""
        derived = frozenset({Need.EMBEDDINGS, Need.CLASSIFIER})
        return frozenset() if self.missing(train) else derived

    def embeddings(self, images: ImageSet) -> NDArray[np.float32]:
        """See `GallerySource.embeddings`."""
        return self.table.embeddings_of(images.keys, data=images.name)

    def missing(self, images: ImageSet) -> int:
        """See `GallerySource.missing`."""
        return int((self.table.find(images.keys) < 0).sum())


Gallery = str | Path | Embedder | GallerySource | None
"""A gallery as an argument: a path, an opened model or source; None: the starter kit's."""


def open_source(gallery: Gallery) -> GallerySource:
    """Opens a gallery: a path as for `open_gallery`, a table or an index, or an opened model.

    Raises:
        UserError: it is not a gallery, or it is truncated, was changed or cannot be used.
    """
    if isinstance(gallery, GallerySource):
        return gallery
    if gallery is None:
        gallery = kit.path("gallery")
    if not isinstance(gallery, str | Path):
        return ModelSource(gallery)
    path = Path(gallery)
    if is_index(path) or (path.suffix == ".toml" and describes_table(path)):
        return TableSource(EmbeddingTable.load(path))
    return ModelSource(open_gallery(path))
