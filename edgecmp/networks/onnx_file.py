"""An ONNX file opened in ONNX Runtime: its input, its outputs and its hash.

It may come from any exporter; `onnx_network` adds the preprocessing of the images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.errors import UserError, system_reason, unknown_choice
from edgecmp.files import sha256_file

__all__ = ["Layout", "OnnxFile", "Tensor"]

Layout: TypeAlias = Literal["NCHW", "NHWC"]

DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
"""The supported types of an input, by ONNX Runtime's names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """An input or output; axes without a fixed size are strings or None."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("?" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name}: {self.type.removeprefix('tensor(').removesuffix(')')} ({axes})"


class OnnxFile:
    """A network with one image input.

    Attributes:
        path: of the file.
        sha256: of its bytes, and of those of its external weight files, if any.
        image: the input.
        outputs: all outputs.
        document: the edgecmp metadata in the file, if edgecmp exported it.

    Raises:
        UserError: the file is missing, truncated or unusable, or ONNX Runtime is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        onnx, onnxruntime = _import("onnx", path), _import("onnxruntime", path)
        self.sha256 = _sha256(onnx, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise UserError(
                f"ONNX Runtime cannot load {path}: {_first_line(error)}.",
                "Copy or export the file again.",
            ) from error
        inputs = [_tensor(value) for value in self._session.get_inputs()]
        self.outputs = tuple(_tensor(value) for value in self._session.get_outputs())
        self.document: str | None = self._session.get_modelmeta().custom_metadata_map.get("edgecmp")
        if len(inputs) != 1:
            raise self.unusable(
                f"it has {len(inputs)} inputs ({'; '.join(map(str, inputs))}) instead of one image"
            )
        (self.image,) = inputs
        if self.image.type not in DTYPES or len(self.image.shape) != 4:
            raise self.unusable(
                f"its input is {self.image}, not a batch of images of float32, float16 or uint8"
            )

    @property
    def dtype(self) -> type[np.generic]:
        """Type of the input."""
        return DTYPES[self.image.type]

    @property
    def batch_size(self) -> int | None:
        """Number of images in one call; None: any number."""
        batch = self.image.shape[0]
        return batch if isinstance(batch, int) else None

    @property
    def layout(self) -> Layout | None:
        """The order of the axes; None if the shape does not show where the channels are."""
        channels_first, channels_last = (self.image.shape[axis] == 3 for axis in (1, 3))
        if channels_first == channels_last:
            return None
        return "NCHW" if channels_first else "NHWC"

    def size(self, layout: Layout) -> int | None:
        """Side of the square images in pixels; None if the shape does not fix it.

        Raises:
            UserError: in that layout the input is not an RGB image, or not square.
        """
        channels = self.image.shape[1 if layout == "NCHW" else 3]
        high, wide = self.image.shape[2:] if layout == "NCHW" else self.image.shape[1:3]
        if isinstance(channels, int) and channels != 3:
            raise self.unusable(f"its input is {self.image}, which in {layout} is not an RGB image")
        fixed = {side for side in (high, wide) if isinstance(side, int)}
        if len(fixed) > 1:
            raise self.unusable(f"its input is {self.image}, but images must be square")
        return fixed.pop() if fixed else None

    def output(self, name: str | None) -> Tensor:
        """The output of that name; None: the only output.

        Raises:
            UserError: there is no such output, or there are several and `name` is None.
        """
        by_name = {tensor.name: tensor for tensor in self.outputs}
        if name is not None and name not in by_name:
            raise unknown_choice(f"output of {self.path}", name, by_name)
        if name is None and len(by_name) > 1:
            raise UserError(
                f"{self.path} has {len(by_name)} outputs ({'; '.join(map(str, self.outputs))}).",
                f'Name the embedding in the .toml description: output = "{self.outputs[0].name}".',
            )
        return by_name[name] if name is not None else self.outputs[0]

    def run(self, output: str, images: NDArray[Any]) -> NDArray[np.float32]:
        """Runs one batch, in the layout and type of the input, to embeddings (n, D).

        Raises:
            UserError: the file does not run, or does not return one vector per image.
        """
        try:
            (values,) = self._session.run([output], {self.image.name: images})
        except Exception as error:
            raise self.unusable(f"ONNX Runtime cannot run it: {_first_line(error)}") from error
        values = np.asarray(values)
        shape = values.shape
        if len(shape) == 4 and shape[2:] == (1, 1):
            values = values[:, :, 0, 0]
        if values.ndim != 2 or len(values) != len(images) or values.dtype.kind != "f":
            raise self.unusable(
                f"for {len(images)} images, {output!r} has the shape {shape} and type "
                f"{values.dtype}, not one embedding per image: (N, D) or (N, D, 1, 1) of floats"
            )
        return values.astype(np.float32)

    def unusable(self, why: str) -> UserError:
        """The error for an intact file whose network edgecmp cannot use."""
        return UserError(
            f"{self.path} cannot be used: {why}.",
            "Export the network again with one image input and one embedding output.",
        )


def _tensor(value: Any) -> Tensor:
    return Tensor(name=value.name, type=value.type, shape=tuple(value.shape))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _import(module: str, path: Path) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{path} cannot be read without {module}, which is not installed ({error}).",
            "Install it with `pip install 'edgecmp[export]'`.",
        ) from error


def _sha256(onnx: ModuleType, path: Path) -> str:
    """Hash of the file and of its external weight files, if any."""
    digest, model = _read(onnx, path)
    files = _weight_files(model)
    missing = [name for name in files if not (path.parent / name).is_file()]
    if missing:
        raise UserError(
            f"{path} keeps its weights in {missing[0]}, which is not in the same folder.",
            f"Copy {missing[0]} to {path.parent} too.",
        )
    if not files:
        return digest
    parts = [digest, *(f"{name} {sha256_file(path.parent / name)}" for name in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(onnx: ModuleType, path: Path) -> tuple[str, Any]:
    """SHA-256 of the file itself, and its ModelProto without external weights."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        digest = sha256_file(path)
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {system_reason(error)}.",
            "Check that the path is right and that you are allowed to read it.",
        ) from error
    except DecodeError as error:
        raise UserError(
            f"{path} is not an ONNX file, or it is truncated.", "Copy or export the file again."
        ) from error
    if not model.graph.node:
        raise UserError(
            f"{path} is not an ONNX file: it contains no network.", "Name an ONNX file."
        )
    return digest, model


def _weight_files(model: Any) -> Sequence[str]:
    """Names of the files that contain weights of a ModelProto ("external data"), sorted."""
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    return sorted({entry.value for entry in entries if entry.key == "location"})
