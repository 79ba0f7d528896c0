"""An ONNX file opened in ONNX Runtime: its input, its outputs and its hash.

It may come from any exporter; `onnx_network` adds the preprocessing of the images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.errors import UserError, system_reason, unknown_choice
from edgecmp.files import read_bytes, sha256_file
from edgecmp.integrity import verify
from edgecmp.networks.onnx_refusal import load_refusal, one_line
from edgecmp.networks.onnx_tokens import Token, row_of_token
from edgecmp.networks.onnx_trial import try_onnx

__all__ = ["Layout", "OnnxFile", "Tensor"]

Layout: TypeAlias = Literal["NCHW", "NHWC"]

DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
"""The supported types of an input, by ONNX Runtime's names."""

MOST_BYTES = 2**31 - 1
"""Of the .onnx file itself; ONNX stores larger networks with their weights in other files."""
MOST_BATCH = 1024
"""The largest fixed batch that is accepted."""


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
        operators: the kinds of its nodes.
        document: the edgecmp metadata in the file, if edgecmp exported it.

    Raises:
        UserError: the file is missing, truncated or unusable, or ONNX Runtime is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        onnx, onnxruntime = _import("onnx", path), _import("onnxruntime", path)
        content = read_bytes(path, what="an ONNX file", limit=MOST_BYTES)
        self.operators, weights = _parse(onnx, path, content)
        if (missing := _missing(path, weights)) is not None:
            raise missing
        self.sha256 = _sha256(path, content, weights)
        del content  # ONNX Runtime reads the file once more
        if not verify(path):
            try_onnx(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        # Threads that wait in a loop take the cores of a network that is trained meanwhile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            inputs = [_tensor(value) for value in self._session.get_inputs()]
            self.outputs = tuple(_tensor(value) for value in self._session.get_outputs())
            metadata = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:
            raise load_refusal(path, error, onnxruntime.__version__) from error
        self.document: str | None = metadata.get("edgecmp")
        if len(inputs) != 1:
            raise self.unusable(
                f"it has {len(inputs)} inputs ({'; '.join(map(str, inputs))}) instead of one image"
            )
        (self.image,) = inputs
        if self.image.type not in DTYPES or len(self.image.shape) != 4:
            raise self.unusable(
                f"its input is {self.image}, not a batch of images of float32, float16 or uint8"
            )
        if self.batch_size is not None and self.batch_size > MOST_BATCH:
            raise self.unusable(f"it reads batches of {self.batch_size} images")

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

    def size(self, layout: Layout) -> tuple[int | None, int | None]:
        """Height and width of the images in pixels; None where the shape does not fix them.

        Raises:
            UserError: in that layout the input does not have three channels.
        """
        channels = self.image.shape[1 if layout == "NCHW" else 3]
        high, wide = self.image.shape[2:] if layout == "NCHW" else self.image.shape[1:3]
        if isinstance(channels, int) and channels != 3:
            raise self.unusable(f"its input is {self.image}, which in {layout} is not an RGB image")
        return high if isinstance(high, int) else None, wide if isinstance(wide, int) else None

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

    def run(
        self, output: str, images: NDArray[Any], token: Token | None = None
    ) -> NDArray[np.float32]:
        """Runs one batch, in the layout and type of the input, to embeddings (n, D).

        Args:
            output: its name.
            images: the batch.
            token: see `Token`; None: the output has one row per image.

        Raises:
            UserError: the file does not run, or does not return one vector per image.
        """
        try:
            (values,) = self._session.run([output], {self.image.name: images})
        except Exception as error:
            raise self.unusable(f"ONNX Runtime cannot run it: {one_line(error)}") from error
        values = np.asarray(values)
        shape = values.shape
        values = row_of_token(values, token, output=output, path=self.path)
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
    # some exporters write -1 or 0 for an axis without a fixed size
    free = (None if isinstance(axis, int) and axis < 1 else axis for axis in value.shape)
    return Tensor(name=value.name, type=value.type, shape=tuple(free))


def _import(module: str, path: Path) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{path} cannot be read without {module}, which is not installed ({error}).",
            "Install it with `pip install 'edgecmp[export]'`.",
        ) from error


def _missing(path: Path, weights: Sequence[str]) -> UserError | None:
    """The error for external weights that are not beside the file, or outside its folder."""
    for name in weights:
        place = PurePath(name)
        if not name or "\0" in name or place.is_absolute() or ".." in place.parts:
            return UserError(
                f"{path} keeps its weights in {name!r}, which is outside its own folder.",
                "Save the network again with the weights beside the .onnx file.",
            )
        if not (path.parent / name).is_file():
            return UserError(
                f"{path} keeps its weights in {name}, which is not in the same folder.",
                f"Copy {name} to {path.parent} too.",
            )
    return None


def _sha256(path: Path, content: bytes, weights: Sequence[str]) -> str:
    """Hash of the file's content and of its external weight files, if any."""
    digest = hashlib.sha256(content).hexdigest()
    if not weights:
        return digest
    try:
        parts = [digest, *(f"{name} {sha256_file(path.parent / name)}" for name in weights)]
    except OSError as error:
        raise UserError(
            f"The weights of {path} cannot be read: {system_reason(error)}.",
            "Check that you are allowed to read them.",
        ) from error
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _parse(onnx: ModuleType, path: Path, content: bytes) -> tuple[frozenset[str], Sequence[str]]:
    """The kinds of the nodes, and the names of the external weight files, if any."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(content)
        operators = frozenset(node.op_type for node in _all_nodes(model))
        weights = _weight_files(model)
    except (DecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not an ONNX file, or it is truncated.", "Copy or export the file again."
        ) from error
    if not operators:
        raise UserError(
            f"{path} is not an ONNX file: it contains no network.", "Name an ONNX file."
        )
    return operators, weights


def _nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """All nodes, with those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _all_nodes(model: Any) -> Iterator[Any]:
    """All nodes of a ModelProto, with those of its functions."""
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def _weight_files(model: Any) -> Sequence[str]:
    """Names of the files that contain weights of a ModelProto ("external data"), sorted."""
    attributes = [value for node in _all_nodes(model) for value in node.attribute]
    graphs = [model.graph, *(graph for a in attributes for graph in (a.g, *a.graphs))]
    tensors = [tensor for graph in graphs for tensor in graph.initializer]
    tensors += [tensor for a in attributes for tensor in (a.t, *a.tensors)]
    entries = (entry for tensor in tensors for entry in tensor.external_data)
    return sorted({entry.value for entry in entries if entry.key == "location"})
