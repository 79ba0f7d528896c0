"""An embedding network that is given as an ONNX file: of ours, or anybody's with a description.

A file from elsewhere does not say how images are prepared for it. A small TOML file says it:

    onnx = "gallery.onnx"            # relative to this file
    mean = [0.485, 0.456, 0.406]     # the network reads (pixel / 255 - mean) / std
    std = [0.229, 0.224, 0.225]
    input_size = 224                 # only if the file does not say it
    background = [255, 255, 255]     # around images that are not square; white if not given
    layout = "NCHW"                  # or "NHWC"; only if the file does not say it
    output = "embedding"             # only if the network has several
    gallery = "gallery.toml"         # of a query network: the gallery model it is compatible with,
                                     # as a path or as its SHA-256
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edgecmp.documents import parse_document, read_toml
from edgecmp.errors import UserError
from edgecmp.files import sha256_json
from edgecmp.networks.onnx_file import Layout, OnnxFile
from edgecmp.preprocessing import Preprocessing
from edgecmp.progress import say

__all__ = ["OnnxDescription", "OnnxModel", "template"]

Triple: TypeAlias = tuple[float, float, float]

BATCH = 32
LENGTH_TOLERANCE = 1e-3
"""How far from 1 the length of an embedding may be before it is scaled."""


class OnnxDescription(BaseModel):
    """What the TOML file says; see the module's docstring."""

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
        """Reads the file; `onnx` is then relative to the working directory.

        Raises:
            UserError: it is not TOML, or a key is missing, unknown or wrong.
        """
        example = 'It needs lines like: onnx = "gallery.onnx", mean = [0.5, 0.5, 0.5].'
        described = parse_document(
            cls,
            read_toml(file, what="a description of an ONNX file", way_out=example),
            refusal=f"{file} does not describe an ONNX file",
            way_out=example,
            keys_of=file,
        )
        return described.model_copy(update={"onnx": file.parent / described.onnx})


class OnnxModel:
    """An `Embedder` in ONNX Runtime.

    Args:
        file: the opened file.
        name: the path that the user gave.
        preprocessing: how an image is prepared.
        layout: of the input.
        output: name of the embedding.
        gallery_sha256: the gallery model it is compatible with, if that is known.
        weights_sha256: of the network of ours that it was exported from; None: it is foreign.

    Raises:
        UserError: the file does not run, or does not give one embedding an image.
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
        self.foreign = weights_sha256 is None
        self.preprocessing = preprocessing
        self.gallery_sha256 = gallery_sha256
        self._layout, self._output = layout, output
        self._told = False
        self._batch = file.batch_size or self._free_batch()
        self.embedding_dim = self._run(self._probe(1)).shape[1]

    @classmethod
    def described(
        cls, description: OnnxDescription, *, source: Path, gallery: str | None
    ) -> OnnxModel:
        """The network that a TOML file at `source` describes.

        Raises:
            UserError: the description lacks what the file does not say, or contradicts it.
        """
        file = OnnxFile(description.onnx)
        layout = description.layout or file.layout
        if layout is None:
            raise UserError(
                f"The input of {file.path} is {file.image}, which does not say where the channels "
                "are.",
                f'Write layout = "NCHW" or layout = "NHWC" in {source}.',
            )
        fixed = file.size(layout)
        if fixed is None and description.input_size is None:
            raise UserError(
                f"The input of {file.path} is {file.image}, which does not say the size of the "
                "images.",
                f"Write a line such as input_size = 224 in {source}.",
            )
        if None not in (fixed, description.input_size) and fixed != description.input_size:
            raise UserError(
                f"{source} says an input_size of {description.input_size}, but {file.path} reads "
                f"images of {fixed} pixels.",
                "Remove that line.",
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
        """An export of ours, which says everything itself.

        Raises:
            UserError: its metadata are damaged or of another version.
        """
        again = "Export it again with `edgecmp export`."
        try:
            document = json.loads(file.document or "")
            preprocessing = document["preprocessing"]
            whole = sha256_json(preprocessing) == document["preprocessing_fingerprint"]
            layout: Literal["NCHW", "NHWC"] = "NHWC" if document["input"] == "image" else "NCHW"
            gallery, weights = document["gallery_sha256"], document["weights_sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"The edgecmp metadata in {file.path} are damaged or of another version.", again
            ) from error
        if not whole:
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
            raise self.file.unusable("an image gives an embedding of length 0 or without one")
        if np.abs(lengths - 1).max() > LENGTH_TOLERANCE and not self._told:
            say(f"{self.name}: its embeddings are not of unit length; they are scaled to it.")
            self._told = True
        unit: NDArray[np.float32] = (embeddings / lengths).astype(np.float32)
        return unit

    def _run(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Up to a batch of images (n, S, S, 3) uint8 to (n, D), as the network gives them."""
        count, batch = len(images), self.file.batch_size
        if batch is not None and count < batch:
            images = np.concatenate([images, np.repeat(images[-1:], batch - count, axis=0)])
        return self.file.run(self._output, self._read(images))[:count]

    def _read(self, images: NDArray[Any]) -> NDArray[Any]:
        """The images in the layout and type that the file reads."""
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
        """`BATCH`, or 1 where the batch axis is only free by name: a shape inside is fixed."""
        try:
            self.file.run(self._output, self._read(self._probe(2)))
        except UserError:
            return 1
        return BATCH


def _normalisation(description: OnnxDescription, file: OnnxFile, source: Path) -> dict[str, Triple]:
    """mean and std for `Preprocessing`; a file that reads 8-bit pixels normalises them itself."""
    given = {"mean": description.mean, "std": description.std}
    found = {key: value for key, value in given.items() if value is not None}
    if file.dtype is np.uint8:
        if found:
            raise UserError(
                f"{file.path} reads 8-bit pixels and normalises them itself: {source} cannot give "
                f"it a {next(iter(found))}.",
                "Remove that line.",
            )
        return {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
    for key, value in given.items():
        if value is None:
            raise UserError(
                f"{source} lacks the {key}, which {file.path} was trained with.",
                f"Write a line such as {key} = [0.5, 0.5, 0.5].",
            )
    return found


def template(file: OnnxFile) -> str:
    """The TOML to write for a foreign file, with all that the file itself says filled in."""
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
        f"# input_size = {size}  # as the file says"
        if size
        else f"input_size = 224  # check: the input is {file.image}"
    )
    if len(file.outputs) > 1:
        names = ", ".join(tensor.name for tensor in file.outputs)
        lines.append(f'output = "{file.outputs[0].name}"  # check: one of {names}')
    return "\n".join(lines)
