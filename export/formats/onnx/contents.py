"""What an ONNX file contains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecmp.errors import UserError
from edgecmp.export.contents import Content
from edgecmp.export.guarded_open import damaged, read_file
from edgecmp.export.metadata import KEY

if TYPE_CHECKING:
    import onnx

__all__ = ["onnx_contents"]


def onnx_contents(path: Path) -> Content:
    """The content of an .onnx file, without that of the files its weights may be stored in.

    Raises:
        UserError: it cannot be read, contains no network, or is truncated or damaged.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(read_file(path))
    except DecodeError as error:
        raise damaged(path) from error
    graph = model.graph
    if not graph.node:
        raise UserError(
            f"{path} is not an ONNX file: it contains no network.", "Name another file."
        )
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    constants = {tensor.name for tensor in graph.initializer}
    content = Content(
        form=f"ONNX, opset {versions.get('ai.onnx', '?')}",
        inputs=[_describe(value) for value in graph.input if value.name not in constants],
        outputs=[_describe(value) for value in graph.output],
        has_metadata=any(entry.key == KEY for entry in model.metadata_props),
    )
    content.operators.update(node.op_type for node in graph.node)
    for tensor in graph.initializer:
        _count(content, tensor)
    return content


def _count(content: Content, tensor: onnx.TensorProto) -> None:
    """Adds a constant to the weights, and the file that it is stored in, if any."""
    import onnx

    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    values = int(np.prod(tensor.dims, dtype=np.int64))
    content.count_weight(kind.name, values, values * kind.itemsize)
    for entry in tensor.external_data:
        if entry.key == "location" and entry.value not in content.weight_files:
            content.weight_files.append(entry.value)


def _describe(value: Any) -> str:
    """Name, type and shape of an input or output."""
    import onnx

    tensor = value.type.tensor_type
    shape = ", ".join(str(axis.dim_value or axis.dim_param or "?") for axis in tensor.shape.dim)
    return f"{value.name}: {onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name} ({shape})"
