"""The TOML file that describes an ONNX file of other tools, since that has no preprocessing.

onnx = "gallery.onnx"            # relative to this file
mean = [0.485, 0.456, 0.406]     # the network reads (pixel / 255 - mean) / std
std = [0.229, 0.224, 0.225]
channels = "RGB"                 # or "BGR"; mean and std are in the same order
input_size = 224                 # or [height, width]; only if the file does not fix it
fit = "pad"                      # or "crop" or "stretch"; see `Preprocessing`
resize = 256                     # with "crop": the shorter side before the crop
filter = "bilinear"              # or "bicubic"
background = [255, 255, 255]     # around padded images; white by default
layout = "NCHW"                  # or "NHWC"; only if it does not follow from the file
output = "embedding"             # only if the network has several outputs
token = 0                        # only if the output has a row per token, (N, T, D): which row is
                                 # the embedding, 0 for the class token; or "mean" of all rows
gallery = "gallery.toml"         # for a query network: the gallery model it is compatible with,
                                 # as a path or as its SHA-256
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from edgecmp.documents import read_description
from edgecmp.errors import UserError
from edgecmp.networks.onnx_file import Layout, OnnxFile, Tensor
from edgecmp.preprocessing import Colour, Preprocessing
from edgecmp.preprocessing.fields import Colours, Integer, Size, Triple
from edgecmp.preprocessing.geometry import Filter, Geometry

__all__ = ["OnnxDescription", "preprocessing_of", "template"]


class OnnxDescription(BaseModel):
    """The keys of the TOML file; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    onnx: Path
    mean: Triple | None = None
    std: Triple | None = None
    channels: Colour = "RGB"
    input_size: Size | None = None
    fit: Geometry = "pad"
    resize: Integer | None = None
    filter: Filter = "bilinear"
    background: Colours = (255, 255, 255)
    layout: Layout | None = None
    output: str | None = None
    token: Integer | Literal["mean"] | None = None
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


def preprocessing_of(
    description: OnnxDescription, file: OnnxFile, layout: Layout, source: Path
) -> Preprocessing:
    """The preprocessing that the description and the file define together.

    Args:
        description: the content of the TOML file.
        file: the opened ONNX file.
        layout: of its input.
        source: path of the description, for errors.

    Raises:
        UserError: the description is incomplete, or contradicts the file.
    """
    height, width = _size(description, file, layout, source)
    normalisation = _normalisation(description, file, source)
    try:
        return Preprocessing(
            input_size=height,
            width=width,
            background=description.background,
            geometry=description.fit,
            short_side=description.resize,
            filter=description.filter,
            colour=description.channels,
            **normalisation,
        )
    except UserError as error:
        raise UserError(f"{source} cannot be used: {error.what}", error.way_out) from error


def _size(
    description: OnnxDescription, file: OnnxFile, layout: Layout, source: Path
) -> tuple[int, int]:
    """Height and width of the images."""
    fixed, given = file.size(layout), description.input_size
    if given is None:
        height, width = fixed
        if height is None or width is None:
            raise UserError(
                f"The input of {file.path} is {file.image}, which does not fix the size of the "
                "images.",
                f"Write a line such as input_size = 224 or input_size = [112, 96] in {source}.",
            )
        return height, width
    if any(side not in (None, wanted) for side, wanted in zip(fixed, given, strict=True)):
        raise UserError(
            f"{source} has an input_size of {_text(given)}, but {file.path} reads images of "
            f"{_text(fixed)} pixels.",
            f"Remove input_size from {source}.",
        )
    return given


def _text(size: tuple[int | None, int | None]) -> str:
    """A size as it is written in a description; "?" where a side is free."""
    height, width = ("?" if side is None else str(side) for side in size)
    return height if height == width else f"[{height}, {width}]"


def _normalisation(description: OnnxDescription, file: OnnxFile, source: Path) -> dict[str, Any]:
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
    size = file.size(layout) if layout else (None, None)
    lines = [f'onnx = "{file.path.name}"']
    if file.dtype is not np.uint8:
        lines += [
            "mean = [0.485, 0.456, 0.406]  # check: (pixel / 255 - mean) / std, as in training",
            "std = [0.229, 0.224, 0.225]   # check",
        ]
    lines += [
        'channels = "RGB"  # check: or "BGR"; mean and std are in this order',
        'fit = "pad"       # check: or "crop" (with resize = 256) or "stretch"',
        'filter = "bilinear"  # check: or "bicubic"',
    ]
    if layout is None:
        lines.append(f'layout = "NCHW"  # or "NHWC"; the input is {file.image}')
    lines.append(
        f"input_size = 224  # check: the input is {file.image}"
        if None in size
        else f"# input_size = {_text(size)}  # fixed by the file"
    )
    output = _likely(file.outputs)
    if len(file.outputs) > 1:
        names = ", ".join(tensor.name for tensor in file.outputs)
        lines.append(f'output = "{output.name}"  # check: one of {names}')
    if len(output.shape) == 3:
        lines.append('token = 0  # check: the row that is the embedding, or "mean" of all rows')
    return "\n".join(lines)


def _likely(outputs: Sequence[Tensor]) -> Tensor:
    """The output that most likely is the embedding: one row per image, and "embed" in its name."""
    return max(outputs, key=lambda one: (len(one.shape) == 2, "embed" in one.name))
