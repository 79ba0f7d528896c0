"""GallerySource: what training, hold-out, search and evaluation ask of a gallery.

A gallery may be a model of ours, a model given as an ONNX file, or a table of embeddings made by a
model that nobody can run here. What each can give decides which methods can train against it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecmp import kit
from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.data import ImageSet
from edgecmp.errors import UserError
from edgecmp.files import read_json
from edgecmp.gallery.embedding_table import EmbeddingTable, describes_table
from edgecmp.gallery.open import open_gallery
from edgecmp.networks.embed import Embedder, embed_set
from edgecmp.preprocessing import Preprocessing

__all__ = ["Gallery", "GallerySource", "ModelSource", "Need", "TableSource", "open_source"]


class Need(Enum):
    """What a method may need of a gallery, in words for its user."""

    EMBEDDINGS = "embeddings of the training images"
    CLASSIFIER = "a classifier of the training identities, or embeddings to make one of"
    NETWORK = "the network itself, to embed each image as the query network sees it"


class GallerySource(ABC):
    """A gallery.

    Attributes:
        name: where it lies, for reports and errors.
        sha256: its name in other artefacts.
        embedding_dim: D of its embeddings.
    """

    name: str
    sha256: str
    embedding_dim: int

    @abstractmethod
    def provides(self, train: ImageSet) -> frozenset[Need]:
        """What it can give to a training on these images."""

    @abstractmethod
    def embeddings(self, images: ImageSet) -> NDArray[np.float32]:
        """Embeddings of the images as they are, (N, D), of unit length.

        Raises:
            UserError: it has none for some of them.
        """

    @abstractmethod
    def missing(self, images: ImageSet) -> int:
        """For how many of the images it gives no embedding."""

    def classifier(self, train: ImageSet) -> Tensor | None:
        """Its own trained classifier (K, D) of the identities of these images, if it has one."""
        return None

    def live(self, images: Tensor, preprocessing: Preprocessing) -> Tensor:
        """Embeddings (N, D) of what a query network sees; only where it provides the network.

        Args:
            images: (N, 3, S, S), normalised by `preprocessing`.
            preprocessing: of the query network; `sees_alike` must hold.
        """
        raise NotImplementedError

    def sees_alike(self, preprocessing: Preprocessing) -> bool:
        """Whether a query network of this preprocessing is shown the same pixels."""
        return False


class ModelSource(GallerySource):
    """A gallery model that can be run: a bundle of ours or an ONNX file."""

    def __init__(self, model: Embedder) -> None:
        self.model = model
        self.name, self.sha256 = model.name, model.sha256
        self.embedding_dim = model.embedding_dim
        if isinstance(model, GalleryBundle):
            model.network.eval()

    def provides(self, train: ImageSet) -> frozenset[Need]:
        """Everything."""
        return frozenset(Need)

    def embeddings(self, images: ImageSet) -> NDArray[np.float32]:
        """See `GallerySource.embeddings`."""
        found: NDArray[np.float32] = embed_set(self.model, images)
        return found

    def missing(self, images: ImageSet) -> int:
        """None."""
        return 0

    def classifier(self, train: ImageSet) -> Tensor | None:
        """That of a bundle which was trained on these very images."""
        if not isinstance(self.model, GalleryBundle):
            return None
        trained_on = self.model.manifest.data.get("fingerprint")
        return self.model.classifier if trained_on == train.fingerprint else None

    def sees_alike(self, preprocessing: Preprocessing) -> bool:
        """Whether the squares are the same; each network has its own mean and deviation."""
        own = self.model.preprocessing
        return (own.input_size, own.background) == (
            preprocessing.input_size,
            preprocessing.background,
        )

    @torch.no_grad()
    def live(self, images: Tensor, preprocessing: Preprocessing) -> Tensor:
        """See `GallerySource.live`; in bfloat16 by a network of ours, on 8-bit pixels by a file."""
        own = self.model.preprocessing
        if isinstance(self.model, GalleryBundle):
            if own.fingerprint != preprocessing.fingerprint:
                images = own.normalise_planes(_planes(images, preprocessing))
            with torch.autocast("cpu", torch.bfloat16):
                targets: Tensor = self.model.network(images)
            return targets
        pixels = _planes(images, preprocessing).round_().clamp_(0, 255).to(torch.uint8)
        embedded = self.model.embed(pixels.permute(0, 2, 3, 1).contiguous().numpy())
        return torch.from_numpy(embedded)


class TableSource(GallerySource):
    """Embeddings that a model made elsewhere."""

    def __init__(self, table: EmbeddingTable) -> None:
        self.table = table
        self.name, self.sha256 = table.name, table.sha256
        self.embedding_dim = table.embeddings.shape[1]

    def provides(self, train: ImageSet) -> frozenset[Need]:
        """What embeddings allow, if it has those of all training images."""
        whole = frozenset({Need.EMBEDDINGS, Need.CLASSIFIER})
        return frozenset() if self.missing(train) else whole

    def embeddings(self, images: ImageSet) -> NDArray[np.float32]:
        """See `GallerySource.embeddings`."""
        keys = images.keys
        missing = [key for key in keys if key not in self.table.rows]
        if missing:
            raise UserError(
                f"{self.name} has no embedding for {len(missing):,} of the {len(keys):,} images of "
                f"{images.name} that are needed here, such as {missing[0]!r}.",
                "Add them to the table, or name the model that made it.",
            )
        found: NDArray[np.float32] = self.table.embeddings[[self.table.rows[key] for key in keys]]
        return found

    def missing(self, images: ImageSet) -> int:
        """See `GallerySource.missing`."""
        return sum(key not in self.table.rows for key in images.keys)


Gallery = str | Path | Embedder | GallerySource | None
"""What a function takes for a gallery: a path, an opened model or source; None: the kit's."""


def open_source(gallery: Gallery) -> GallerySource:
    """The gallery at a path (see `open_gallery`; or a table or an index), or the one given.

    Raises:
        UserError: it is no gallery, or it is truncated, changed or unusable.
    """
    if isinstance(gallery, GallerySource):
        return gallery
    if gallery is None:
        gallery = kit.path("gallery")
    if not isinstance(gallery, str | Path):
        return ModelSource(gallery)
    path = Path(gallery)
    if _is_index(path) or (path.suffix == ".toml" and describes_table(path)):
        return TableSource(EmbeddingTable.load(path))
    return ModelSource(open_gallery(path))


def _is_index(path: Path) -> bool:
    manifest = path / "manifest.json"
    if not manifest.is_file():
        return False
    document: dict[str, Any] = read_json(manifest, what="the manifest of a gallery")
    return str(document.get("format")).startswith("edgecmp-index/")


def _planes(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Pixels 0..255 (N, 3, S, S) of normalised images."""
    mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)
    return (images * std + mean) * 255
