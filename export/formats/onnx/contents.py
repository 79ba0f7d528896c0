"""What an ONNX file contains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecmp.errors import UserError
from edgecmp.export.contents import Content
from edgecmp.export.formats.onnx.parse import parse_onnx
from edgecmp.export.guarded_open import damaged
from edgecmp.integrity import KEY

if TYPE_CHECKING:
    import onnx

__all__ = ["onnx_contents"]

MOST_VALUES = 2**40
"""Of one tensor; no file holds more."""


def onnx_contents(path: Path) -> Content:
    """The content of an .onnx file, without that of the files its weights may be stored in.

    Raises:
        UserError: it cannot be read, contains no network, or is truncated or damaged.
    """
    model = parse_onnx(path)
    graph = model.graph
    if not graph.node:
        raise UserError(
            f"{path} is not an ONNX file: it contains no network.", "Name another file."
        )
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    constants = {tensor.name for tensor in graph.initializer}
    content = Content(
        form=f"ONNX, opset {versions.get('ai.onnx', '?')}, IR version {model.ir_version}",
        inputs=[_describe(value) for value in graph.input if value.name not in constants],
        outputs=[_describe(value) for value in graph.output],
        has_metadata=any(entry.key == KEY for entry in model.metadata_props),
    )
    content.operators.update(node.op_type for node in graph.node)
    for tensor in graph.initializer:
        _count(content, tensor, path)
    return content


def _count(content: Content, tensor: onnx.TensorProto, path: Path) -> None:
    """Adds a constant to the weights, and the file that it is stored in, if any."""
    values = math.prod(tensor.dims)
    if not 0 <= values <= MOST_VALUES:
        raise damaged(path, f"its tensor {tensor.name!r} has the shape {list(tensor.dims)[:9]}")
    kind, size = _type(tensor.data_type)
    content.count_weight(kind, values, values * size)
    for entry in tensor.external_data:
        if entry.key == "location" and entry.value not in content.weight_files:
            content.weight_files.append(entry.value)


def _describe(value: Any) -> str:
    """Name, type and shape of an input or output."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return f"{value.name}: {(kind or 'no').removesuffix('_type')} type"
    tensor = value.type.tensor_type
    shape = ", ".join(str(axis.dim_value or axis.dim_param or "?") for axis in tensor.shape.dim)
    return f"{value.name}: {_type(tensor.elem_type)[0]} ({shape})"


def _type(number: int) -> tuple[str, int]:
    """Name of an element type, and bytes per value; unknown ones by their number."""
    import onnx

    try:
        kind = onnx.helper.tensor_dtype_to_np_dtype(number)
    except (KeyError, ValueError, TypeError):
        return f"type {number}", 0
    return kind.name, kind.itemsize
