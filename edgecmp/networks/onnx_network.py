"""An embedding network in an ONNX file: exported by edgecmp, or external with a description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.data.protocol_names import IDENTITIES_UNSEEN
from edgecmp.errors import UserError
from edgecmp.files import sha256_json
from edgecmp.networks.onnx_description import OnnxDescription, preprocessing_of
from edgecmp.networks.onnx_file import Layout, OnnxFile
from edgecmp.networks.onnx_probe import probe
from edgecmp.networks.onnx_tokens import Token
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say

__all__ = ["OnnxModel"]

LENGTH_TOLERANCE = 1e-3
"""Largest difference from length 1 of an embedding that is not reported."""


class OnnxModel:
    """An `Embedder` in ONNX Runtime.

    Args:
        file: the opened file.
        name: the path that the user gave.
        preprocessing: how images are prepared.
        layout: of the input.
        output: name of the output with the embedding.
        token: the row of it that is the embedding, see `Token`; None: it has one row per image.
        gallery_sha256: hash of the gallery model it is compatible with, if known.
        weights_sha256: hash of the edgecmp network that it was exported from; None: it is external.
        protocol_name: of the figures of that network on the data of its training.

    Raises:
        UserError: the file does not run, does not return one embedding per image, or the
            embedding is constant, not finite, or depends on the other images of the batch.
    """

    def __init__(
        self,
        file: OnnxFile,
        *,
        name: str,
        preprocessing: Preprocessing,
        layout: Layout,
        output: str,
        token: Token | None = None,
        gallery_sha256: str | None = None,
        weights_sha256: str | None = None,
        protocol_name: str = IDENTITIES_UNSEEN,
    ) -> None:
        self.file = file
        self.name = name
        self.sha256 = weights_sha256 or _sha256(file, output, token)
        self.external = weights_sha256 is None
        self.preprocessing = preprocessing
        self.gallery_sha256 = gallery_sha256
        self.protocol_name = protocol_name
        self._layout, self._output, self._token = layout, output, token
        self._warned = False
        probed = probe(file, self._run, preprocessing.size, name)
        self._batch, self.embedding_dim = probed.batch, probed.embedding_dim

    @classmethod
    def described(
        cls, description: OnnxDescription, *, source: Path, gallery: str | None
    ) -> OnnxModel:
        """The network that the TOML file `source` describes.

        Args:
            description: the content of the TOML file.
            source: its path, for errors.
            gallery: hash of the gallery model it is compatible with, if known.

        Raises:
            UserError: the description is incomplete, or contradicts the file.
        """
        file = OnnxFile(description.onnx)
        layout = description.layout or file.layout
        if layout is None:
            raise UserError(
                f"The input of {file.path} is {file.image}, which does not show where the channels "
                "are.",
                f'Write layout = "NCHW" or layout = "NHWC" in {source}.',
            )
        return cls(
            file,
            name=str(source),
            preprocessing=preprocessing_of(description, file, layout, source),
            layout=layout,
            output=file.output(description.output).name,
            token=description.token,
            gallery_sha256=gallery,
        )

    @classmethod
    def exported(cls, file: OnnxFile) -> OnnxModel:
        """A network that edgecmp exported; its metadata replace a description.

        Raises:
            UserError: the metadata are damaged or of another version.
        """
        again = "Export it again with `edgecmp export`."
        try:
            document = json.loads(file.document or "")
            preprocessing = document["preprocessing"]
            intact = sha256_json(preprocessing) == document["preprocessing_fingerprint"]
            layout: Layout = "NHWC" if document["input"] == "image" else "NCHW"
            gallery, weights = document["gallery_sha256"], document["weights_sha256"]
            protocol_name = str(document.get("protocol_name", IDENTITIES_UNSEEN))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f"The edgecmp metadata in {file.path} are damaged or of another version.", again
            ) from error
        if not intact:
            raise UserError(
                f"The preprocessing stored in {file.path} does not match its fingerprint: the file "
                "was changed after it was written.",
                again,
            )
        prepare = Preprocessing.from_dict(preprocessing)
        if file.size(layout) != prepare.size:
            raise UserError(
                f"The preprocessing stored in {file.path} is for images of {prepare.size_text} "
                f"pixels, but its network reads {file.image}.",
                again,
            )
        return cls(
            file,
            name=str(file.path),
            preprocessing=prepare,
            layout=layout,
            output=file.output("embedding").name,
            gallery_sha256=gallery,
            weights_sha256=weights,
            protocol_name=protocol_name,
        )

    def embed(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """See `Embedder.embed`.

        Raises:
            UserError: an embedding cannot be scaled to unit length.
        """
        parts = [
            self._run_filled(images[start : start + self._batch])
            for start in range(0, len(images), self._batch)
        ]
        embeddings = np.concatenate(parts)
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise self.file.unusable("it returns an embedding that is zero or not finite")
        if np.abs(lengths - 1).max() > LENGTH_TOLERANCE and not self._warned:
            say(f"The embeddings of {self.name} are not of unit length and are scaled to it.")
            self._warned = True
        unit: NDArray[np.float32] = (embeddings / lengths).astype(np.float32)
        return unit

    def _run_filled(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """At most one batch of images (n, H, W, 3) uint8 to the outputs of the network, (n, D)."""
        count, batch = len(images), self.file.batch_size
        if batch is not None and count < batch:
            images = np.concatenate([images, np.repeat(images[-1:], batch - count, axis=0)])
        return self._run(images)[:count]

    def _run(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Exactly one batch."""
        return self.file.run(self._output, self._read(images), self._token)

    def _read(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (n, H, W, 3) uint8 in the layout, order and type of the input."""
        if self.file.dtype is np.uint8:
            order = slice(None, None, 1 if self.preprocessing.colour == "RGB" else -1)
            planes = images[..., order].transpose(0, 3, 1, 2)
        else:
            planes = self.preprocessing.normalise(images).numpy()  # (n, 3, H, W)
        given = planes if self._layout == "NCHW" else planes.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(given, self.file.dtype)


def _sha256(file: OnnxFile, output: str, token: Token | None) -> str:
    """Hash of an external network: that of its file, and of the choice of the embedding in it.

    Two outputs of one file are embeddings of two spaces, which must not be taken for one another.
    """
    if len(file.outputs) == 1 and token is None:
        return file.sha256
    return sha256_json({"file": file.sha256, "output": output, "token": token})
