"""An embedding network in an ONNX file: exported by edgecmp, or external with a description.

An external file does not contain the preprocessing of its images. A small TOML file describes it:

    onnx = "gallery.onnx"            # relative to this file
    mean = [0.485, 0.456, 0.406]     # the network reads (pixel / 255 - mean) / std
    std = [0.229, 0.224, 0.225]
    input_size = 224                 # only if the file does not fix it
    background = [255, 255, 255]     # around images that are not square; white by default
    layout = "NCHW"                  # or "NHWC"; only if it does not follow from the file
    output = "embedding"             # only if the network has several outputs
    gallery = "gallery.toml"         # for a query network: the gallery model it is compatible with,
                                     # as a path or as its SHA-256
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edgecmp.documents import read_description
from edgecmp.errors import UserError
from edgecmp.files import sha256_json
from edgecmp.networks.onnx_file import Layout, OnnxFile
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say

__all__ = ["OnnxDescription", "OnnxModel", "template"]

Triple: TypeAlias = tuple[float, float, float]

BATCH = 32
LENGTH_TOLERANCE = 1e-3
"""Largest difference from length 1 of an embedding that is not reported."""


class OnnxDescription(BaseModel):
    """The keys of the TOML file; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    onnx: Path
    mean: Triple | None = None
    std: Triple | None = None
    input_size: int | None = None
    background: tuple[int, int, int] = (255, 255, 255)
    layout: Layout | None = None
    output: str | None = None
    gallery: str | None = None

    @classmethod
    def load(cls, file: Path) -> OnnxDescription:
        """Reads the file; `onnx` becomes relative to the working directory.

        Raises:
            UserError: it is not TOML, or a key is missing, unknown or wrong.
        """
        return read_description(
            cls,
            file,
            what="an ONNX file",
            way_out='Write lines such as onnx = "gallery.onnx" and mean = [0.5, 0.5, 0.5].',
            paths=("onnx",),
        )


class OnnxModel:
    """An `Embedder` in ONNX Runtime.

    Args:
        file: the opened file.
        name: the path that the user gave.
        preprocessing: how images are prepared.
        layout: of the input.
        output: name of the output with the embedding.
        gallery_sha256: hash of the gallery model it is compatible with, if known.
        weights_sha256: hash of the edgecmp network that it was exported from; None: it is external.

    Raises:
        UserError: the file does not run, or does not return one embedding per image.
    """

    def __init__(
        self,
        file: OnnxFile,
        *,
        name: str,
        preprocessing: Preprocessing,
        layout: Layout,
        output: str,
        gallery_sha256: str | None = None,
        weights_sha256: str | None = None,
    ) -> None:
        self.file = file
        self.name = name
        self.sha256 = weights_sha256 or file.sha256
        self.external = weights_sha256 is None
        self.preprocessing = preprocessing
        self.gallery_sha256 = gallery_sha256
        self._layout, self._output = layout, output
        self._warned = False
        self._batch = file.batch_size or self._free_batch()
        self.embedding_dim = self._run(self._probe(1)).shape[1]

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
        fixed = file.size(layout)
        if fixed is None and description.input_size is None:
            raise UserError(
                f"The input of {file.path} is {file.image}, which does not fix the size of the "
                "images.",
                f"Write a line such as input_size = 224 in {source}.",
            )
        if None not in (fixed, description.input_size) and fixed != description.input_size:
            raise UserError(
                f"{source} has an input_size of {description.input_size}, but {file.path} reads "
                f"images of {fixed} pixels.",
                f"Remove input_size from {source}.",
            )
        return cls(
            file,
            name=str(source),
            preprocessing=Preprocessing(
                input_size=fixed or description.input_size or 0,
                background=description.background,
                **_normalisation(description, file, source),
            ),
            layout=layout,
            output=file.output(description.output).name,
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
            layout: Literal["NCHW", "NHWC"] = "NHWC" if document["input"] == "image" else "NCHW"
            gallery, weights = document["gallery_sha256"], document["weights_sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"The edgecmp metadata in {file.path} are damaged or of another version.", again
            ) from error
        if not intact:
            raise UserError(
                f"The preprocessing stored in {file.path} does not match its fingerprint: the file "
                "was changed after it was written.",
                again,
            )
        return cls(
            file,
            name=str(file.path),
            preprocessing=Preprocessing.from_dict(preprocessing),
            layout=layout,
            output=file.output("embedding").name,
            gallery_sha256=gallery,
            weights_sha256=weights,
        )

    def embed(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """See `Embedder.embed`.

        Raises:
            UserError: an embedding cannot be scaled to unit length.
        """
        parts = [
            self._run(images[start : start + self._batch])
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

    def _run(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """At most one batch of images (n, S, S, 3) uint8 to the outputs of the network, (n, D)."""
        count, batch = len(images), self.file.batch_size
        if batch is not None and count < batch:
            images = np.concatenate([images, np.repeat(images[-1:], batch - count, axis=0)])
        return self.file.run(self._output, self._read(images))[:count]

    def _read(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (n, S, S, 3) uint8 in the layout and type of the input."""
        if self.file.dtype is np.uint8:
            planes = images.transpose(0, 3, 1, 2)
        else:
            planes = self.preprocessing.normalise(images).numpy()  # (n, 3, S, S)
        given = planes if self._layout == "NCHW" else planes.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(given, self.file.dtype)

    def _probe(self, count: int) -> NDArray[np.uint8]:
        side = self.preprocessing.input_size
        return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)

    def _free_batch(self) -> int:
        """`BATCH`, or 1 if the network only runs on single images despite a free batch axis."""
        try:
            self.file.run(self._output, self._read(self._probe(2)))
        except UserError:
            return 1
        return BATCH


def _normalisation(description: OnnxDescription, file: OnnxFile, source: Path) -> dict[str, Triple]:
    """mean and std for `Preprocessing`; a network that reads 8-bit pixels needs none."""
    given = {"mean": description.mean, "std": description.std}
    found = {key: value for key, value in given.items() if value is not None}
    if file.dtype is np.uint8:
        if found:
            raise UserError(
                f"{file.path} reads 8-bit pixels and normalises them itself, so {source} must not "
                f"have a {next(iter(found))}.",
                f"Remove {' and '.join(found)} from {source}.",
            )
        return {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
    for key, value in given.items():
        if value is None:
            raise UserError(
                f"{source} has no {key}, which {file.path} needs.",
                f"Write the {key} of its training, such as {key} = [0.5, 0.5, 0.5].",
            )
    return found


def template(file: OnnxFile) -> str:
    """A description to start from for an external file, filled in as far as the file allows."""
    layout = file.layout
    size = file.size(layout) if layout else None
    lines = [f'onnx = "{file.path.name}"']
    if file.dtype is not np.uint8:
        lines += [
            "mean = [0.485, 0.456, 0.406]  # check: (pixel / 255 - mean) / std, as in training",
            "std = [0.229, 0.224, 0.225]   # check",
        ]
    if layout is None:
        lines.append(f'layout = "NCHW"  # or "NHWC"; the input is {file.image}')
    lines.append(
        f"# input_size = {size}  # fixed by the file"
        if size
        else f"input_size = 224  # check: the input is {file.image}"
    )
    if len(file.outputs) > 1:
        names = ", ".join(tensor.name for tensor in file.outputs)
        lines.append(f'output = "{file.outputs[0].name}"  # check: one of {names}')
    return "\n".join(lines)
