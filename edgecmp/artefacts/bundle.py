"""Bundles: a network on disk together with its origin, preprocessing and hashes.

A bundle is a folder: weights.safetensors, manifest.json (kind, origin, preprocessing, hashes), for
a query network architecture.json, and seen.safetensors if images without labels were trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecmp.artefacts.manifest import ARCHITECTURE, COPY_AGAIN, MANIFEST, Manifest
from edgecmp.artefacts.seen import SEEN, SeenImages
from edgecmp.data.protocol_names import GALLERY_KNOWN, IDENTITIES_UNSEEN, ProtocolName
from edgecmp.errors import UserError
from edgecmp.files import (
    json_bytes,
    read_json,
    read_tensors,
    seal,
    sha256_tensors,
    tensor_bytes,
)
from edgecmp.networks.embed import embed
from edgecmp.networks.filter_scale import limit_filter_scale
from edgecmp.networks.form import Form, form_from_dict
from edgecmp.networks.gallery import GalleryNet, build_gallery
from edgecmp.networks.sizes import check_sizes
from edgecmp.networks.supernet import Supernet
from edgecmp.preprocessing import Preprocessing
from edgecmp.storage import write_folder

__all__ = ["WEIGHTS", "GalleryBundle", "QueryBundle", "SupernetBundle"]

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class _Bundle:
    """The common part of the three kinds of bundles.

    Attributes:
        manifest: the document in manifest.json.
        folder: where it was read from; None for a bundle that is not saved.
        seen: the images without labels that it was trained on; None if there were none.
    """

    manifest: Manifest
    folder: Path | None = field(default=None)
    seen: SeenImages | None = field(default=None)

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are prepared for this network."""
        return Preprocessing.from_dict(self.manifest.preprocessing)

    @property
    def sha256(self) -> str:
        """Hash of the weights, by which other artefacts refer to this model."""
        return self.manifest.weights_sha256

    @property
    def gallery_sha256(self) -> str | None:
        """Hash of the gallery model that it is compatible with."""
        return self.manifest.gallery_sha256

    @property
    def protocol_name(self) -> ProtocolName:
        """The protocol of its figures on the data that it was trained on."""
        known = self.seen is not None and bool(self.seen.gallery.any())
        return GALLERY_KNOWN if known else IDENTITIES_UNSEEN

    @property
    def name(self) -> str:
        """Its folder, for reports and errors."""
        return str(self.folder) if self.folder else f"this {self.manifest.kind} model"

    def _write(
        self,
        folder: str | Path,
        tensors: dict[str, Tensor],
        *,
        half: bool,
        architecture: dict[str, Any] | None = None,
    ) -> Path:
        """Writes all files of the folder together, the manifest last; returns the folder."""
        folder = Path(folder)
        stored = {name: _half(t) if half else t for name, t in tensors.items()}
        overflowed = [name for name, t in stored.items() if not torch.isfinite(t).all()]
        if overflowed:
            raise UserError(
                f"The weights {overflowed[0]!r} are not finite{' in float16' if half else ''}, so "
                f"{folder} was not written.",
                "Train again with a lower learning rate, since the training has diverged.",
            )
        manifest = self.manifest.model_copy(
            update={"format": "edgecmp-bundle/2", "weights_sha256": sha256_tensors(stored)}
        )
        related = () if architecture is None else (architecture,)
        first = {} if architecture is None else {ARCHITECTURE: json_bytes(architecture)}
        if self.seen is not None:
            first[SEEN] = tensor_bytes(self.seen.tensors())
        sealed = seal(manifest.model_dump(), *related)
        return write_folder(
            folder, {**first, WEIGHTS: tensor_bytes(stored), MANIFEST: json_bytes(sealed)}
        )


@dataclass(frozen=True, kw_only=True)
class _EmbedderBundle(_Bundle):
    """A bundle whose network embeds images; an `Embedder`.

    Attributes:
        network: the torch module, in evaluation mode.
        external: False, because edgecmp made the network: exports of it record its hash.
    """

    network: nn.Module
    external: ClassVar[bool] = False

    def embed(self, images: NDArray[Any]) -> NDArray[Any]:
        """Prepared images uint8 (N, S, S, 3) to embeddings float32 (N, D)."""
        return embed(self.network, images, self.preprocessing)


@dataclass(frozen=True, kw_only=True)
class QueryBundle(_EmbedderBundle):
    """A trained query network of any form."""

    @property
    def architecture(self) -> Form:
        """Its form: an `Architecture`, a `Baseline` or a `Pruned`."""
        form: Form = self.network.architecture  # type: ignore[assignment]  # a module's attribute
        return form

    @property
    def embedding_dim(self) -> int:
        """D of its embeddings."""
        return self.architecture.embedding_dim

    def save(self, folder: str | Path, *, half: bool = False) -> Self:
        """Writes the folder and returns the bundle as it was written.

        Args:
            folder: where to write it.
            half: store matrices and kernels as float16.

        Raises:
            UserError: a weight is not finite, or the folder cannot be written.
        """
        tensors = dict(self.network.state_dict())
        form = self.architecture.to_dict()
        return self.load(self._write(folder, tensors, half=half, architecture=form))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads the bundle in a folder.

        Raises:
            UserError: the folder is not a bundle of this kind, or its weights are truncated,
                changed or of another architecture.
        """
        folder = Path(folder)
        manifest, tensors = _read(folder, "query")
        source = folder / ARCHITECTURE
        form = form_from_dict(read_json(source, what="an architecture"), source=str(source))
        _check_sizes(manifest, form.embedding_dim, form.input_size, folder)
        network = form.build()
        _fill(network, tensors, folder)
        return cls(network=network, manifest=manifest, folder=folder, seen=_seen(manifest, folder))


@dataclass(frozen=True, kw_only=True)
class SupernetBundle(_Bundle):
    """A trained supernet.

    Attributes:
        network: the torch module, in evaluation mode.
    """

    network: Supernet

    def save(self, folder: str | Path, *, half: bool = False) -> Self:
        """Writes the folder; see `QueryBundle.save`."""
        limit_filter_scale(self.network)
        return self.load(self._write(folder, dict(self.network.state_dict()), half=half))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads the bundle in a folder; see `QueryBundle.load`."""
        folder = Path(folder)
        manifest, tensors = _read(folder, "supernet")
        embedding_dim = manifest.size("embedding_dim", folder)
        input_size = manifest.size("input_size", folder)
        _check_sizes(manifest, embedding_dim, input_size, folder)
        network = Supernet(
            str(manifest.network.get("tier")), embedding_dim=embedding_dim, input_size=input_size
        )
        _fill(network, tensors, folder)
        return cls(network=network, manifest=manifest, folder=folder, seen=_seen(manifest, folder))


@dataclass(frozen=True, kw_only=True)
class GalleryBundle(_EmbedderBundle):
    """A trained gallery network and its classifier.

    Attributes:
        network: the torch module, in evaluation mode.
        classifier: (K, D), a row per training identity.
    """

    network: GalleryNet
    classifier: Tensor

    @property
    def embedding_dim(self) -> int:
        """D of its embeddings."""
        return self.network.embedding_dim

    def save(self, folder: str | Path, *, half: bool = False) -> Self:
        """Writes the folder; see `QueryBundle.save`."""
        tensors = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        tensors["classifier"] = self.classifier
        return self.load(self._write(folder, tensors, half=half))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads the bundle in a folder; see `QueryBundle.load`."""
        folder = Path(folder)
        manifest, tensors = _read(folder, "gallery")
        embedding_dim = manifest.size("embedding_dim", folder)
        input_size = manifest.size("input_size", folder)
        _check_sizes(manifest, embedding_dim, input_size, folder)
        network = build_gallery(
            str(manifest.network.get("name")), embedding_dim=embedding_dim, input_size=input_size
        )
        classifier = tensors.pop("classifier", torch.empty(0)).float()
        if classifier.ndim != 2 or classifier.shape[1] != embedding_dim:
            raise UserError(f"{folder / WEIGHTS} has no classifier of the model.", COPY_AGAIN)
        weights = {name.removeprefix("network."): t for name, t in tensors.items()}
        _fill(network, weights, folder)
        return cls(network=network, classifier=classifier, manifest=manifest, folder=folder)


def _half(tensor: Tensor) -> Tensor:
    """Converts matrices and kernels to float16; statistics, scales and counters are not changed."""
    return tensor.half() if tensor.is_floating_point() and tensor.ndim >= 2 else tensor


def _read(folder: Path, kind: str) -> tuple[Manifest, dict[str, Tensor]]:
    """The manifest and the weights of a bundle, after comparing their hashes."""
    if folder.is_file():
        raise UserError(
            f"{folder} is a file, not the folder of a {kind} model.",
            f"Name the folder that contains the {kind} model's {MANIFEST}.",
        )
    manifest = Manifest.load_whole(folder, what=f"the manifest of a {kind} model")
    if manifest.kind != kind:
        raise UserError(
            f"{folder} contains a {manifest.kind} model, not a {kind} model.",
            f"Name the folder of a {kind} model.",
        )
    tensors = read_tensors(folder / WEIGHTS, what=f"the weights of a {kind} model")
    if sha256_tensors(tensors) != manifest.weights_sha256:
        raise UserError(
            f"The weights in {folder / WEIGHTS} are not those that its {MANIFEST} names.",
            COPY_AGAIN,
        )
    return manifest, tensors


def _seen(manifest: Manifest, folder: Path) -> SeenImages | None:
    """The images without labels that the network in a folder was trained on, if any."""
    sha256 = manifest.data.get("seen_sha256")
    return None if sha256 is None else SeenImages.load(folder, sha256)


def _check_sizes(manifest: Manifest, embedding_dim: int, input_size: int, folder: Path) -> None:
    """Refuses sizes that no network has, and images of another size than the network's."""
    check_sizes(embedding_dim, input_size)
    preprocessing = Preprocessing.from_dict(manifest.preprocessing)
    preprocessing.check_trainable(str(folder))
    prepared = preprocessing.input_size
    if prepared != input_size:
        raise UserError(
            f"The network in {folder} reads images of {input_size} pixels, but its {MANIFEST} "
            f"prepares images of {prepared} pixels.",
            COPY_AGAIN,
        )


def _fill(network: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    """Loads the weights and puts the network into evaluation mode and channels_last memory."""
    wanted = network.state_dict()
    for name in wanted.keys() | tensors.keys():
        if name not in tensors or name not in wanted or tensors[name].shape != wanted[name].shape:
            raise UserError(
                f"The weights in {folder / WEIGHTS} belong to another architecture (see {name!r}).",
                "Copy architecture.json, manifest.json and weights.safetensors of one model again.",
            )
    network.load_state_dict({name: t.to(wanted[name].dtype) for name, t in tensors.items()})
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
