"""What a TFLite file contains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from edgecmp.export.contents import Content
from edgecmp.export.formats.tflite.parse import parse_tflite, tflite_errors
from edgecmp.integrity import KEY

__all__ = ["tflite_contents"]


def tflite_contents(path: Path) -> Content:
    """The content of a .tflite file.

    Raises:
        UserError: it cannot be read, is of another format, or is truncated or damaged.
    """
    model = parse_tflite(path)
    with tflite_errors(path):
        return _content(model)


def _content(model: Any) -> Content:
    from ai_edge_litert import schema_py_generated as schema

    types = _names(schema.TensorType)
    graph = model.subgraphs[0]

    def describe(index: int) -> str:
        tensor = graph.tensors[index]
        shape = ", ".join(str(size) for size in tensor.shape)
        return f"{tensor.name.decode()}: {types[tensor.type].lower()} ({shape})"

    content = Content(
        form=f"TFLite version {model.version}",
        inputs=[describe(index) for index in graph.inputs],
        outputs=[describe(index) for index in graph.outputs],
        has_metadata=any(entry.name == KEY.encode() for entry in model.metadata or ()),
    )
    operators = _operator_names(model, _names(schema.BuiltinOperator))
    content.operators.update(operators[operator.opcodeIndex] for operator in graph.operators)
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data if tensor.buffer else None
        if data is not None and len(data):
            kind = types[tensor.type].lower()
            content.count_weight(kind, math.prod(int(size) for size in tensor.shape), len(data))
    return content


def _names(enumeration: Any) -> dict[int, str]:
    """The name of each value of an enumeration of the schema."""
    return {value: name for name, value in vars(enumeration).items() if name.isupper()}


def _operator_names(model: Any, builtin: dict[int, str]) -> list[str]:
    """The name of each operator code of a model, built-in or custom."""
    return [
        code.customCode.decode()
        if code.customCode
        else builtin[max(code.builtinCode, code.deprecatedBuiltinCode)]
        for code in model.operatorCodes
    ]
