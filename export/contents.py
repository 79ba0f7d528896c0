"""What stands in a model file of each format: tensors, operators and weights by type."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.errors import UserError
from edgecmp.export.guarded_open import read_file
from edgecmp.export.metadata import KEY
from edgecmp.inspection import weight_facts
from edgecmp.quiet import quiet_coremltools

__all__ = ["READERS", "Content"]


@dataclass(kw_only=True, slots=True)
class Content:
    """What a reader of one format found; `weights` by type: (values, bytes)."""

    form: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    operators: Counter[str] = field(default_factory=Counter)
    weights: dict[str, tuple[int, int]] = field(default_factory=dict)
    weight_files: list[str] = field(default_factory=list)
    ours: bool = False

    def weigh(self, kind: str, values: int, size: int) -> None:
        """Counts one tensor of weights."""
        before = self.weights.get(kind, (0, 0))
        self.weights[kind] = (before[0] + values, before[1] + size)

    def facts(self) -> dict[str, Any]:
        """For people and JSON."""
        return {
            "format": self.form,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "operators": dict(self.operators.most_common()),
            "weights": weight_facts(self.weights),
            "weight_files": self.weight_files or None,
        }


def _damaged(path: Path, why: object = "") -> UserError:
    detail = f" ({why})" if str(why) else ""
    return UserError(
        f"{path} is truncated or damaged{detail}.",
        "Copy it again, or write it again with the command that made it.",
    )


def _tflite(path: Path) -> Content:
    from ai_edge_litert import schema_py_generated as schema

    data = read_file(path)
    if data[4:8] != b"TFL3":
        raise UserError(f"{path} is not a TFLite file.", "Name another file.")
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        return _tflite_content(model, schema)
    except (IndexError, ValueError, AttributeError, TypeError, struct.error) as error:
        raise _damaged(path) from error


def _tflite_content(model: Any, schema: Any) -> Content:
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    types = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
    graph = model.subgraphs[0]

    def tensor(index: int) -> str:
        entry = graph.tensors[index]
        shape = ", ".join(str(size) for size in entry.shape)
        return f"{entry.name.decode()}: {types[entry.type].lower()} ({shape})"

    content = Content(form=f"TFLite version {model.version}")
    content.inputs = [tensor(index) for index in graph.inputs]
    content.outputs = [tensor(index) for index in graph.outputs]
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        custom = code.customCode.decode() if code.customCode else ""
        content.operators[custom or names[builtin]] += 1
    for entry in graph.tensors:
        values = model.buffers[entry.buffer].data if entry.buffer else None
        if values is not None and len(values):
            content.weigh(types[entry.type].lower(), int(np.prod(entry.shape)), len(values))
    content.ours = any(entry.name == KEY.encode() for entry in model.metadata or ())
    return content


def _onnx(path: Path) -> Content:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    read_file(path)  # says what is wrong with a path
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise _damaged(path) from error
    if not model.graph.node:
        raise UserError(f"{path} is no ONNX file: it holds no network.", "Name another file.")
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    content = Content(form=f"ONNX, opset {versions.get('ai.onnx', '?')}")
    constants = {tensor.name for tensor in model.graph.initializer}
    content.inputs = [
        _onnx_tensor(value) for value in model.graph.input if value.name not in constants
    ]
    content.outputs = [_onnx_tensor(value) for value in model.graph.output]
    content.operators.update(node.op_type for node in model.graph.node)
    for tensor in model.graph.initializer:
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        count = int(np.prod(tensor.dims, dtype=np.int64))
        content.weigh(kind.name, count, count * kind.itemsize)
        places = {entry.value for entry in tensor.external_data if entry.key == "location"}
        content.weight_files += sorted(places - {*content.weight_files})
    content.ours = any(entry.key == KEY for entry in model.metadata_props)
    return content


def _onnx_tensor(value: Any) -> str:
    import onnx

    tensor = value.type.tensor_type
    shape = ", ".join(str(axis.dim_value or axis.dim_param or "?") for axis in tensor.shape.dim)
    return f"{value.name}: {onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name} ({shape})"


def _coreml(package: Path) -> Content:
    from google.protobuf.message import DecodeError

    with quiet_coremltools():
        from coremltools.proto import FeatureTypes_pb2, MIL_pb2, Model_pb2
    try:
        manifest = json.loads((package / "Manifest.json").read_bytes())
        root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        file = package / "Data" / str(root)
        spec = Model_pb2.Model.FromString(file.read_bytes())
    except (OSError, ValueError, LookupError, TypeError, DecodeError) as error:
        raise _damaged(package, error) from error
    content = Content(form=f"Core ML specification {spec.specificationVersion}")
    arrays = FeatureTypes_pb2.ArrayFeatureType.ArrayDataType

    def feature(entry: Any) -> str:
        kind = entry.type.WhichOneof("Type")
        if kind == "imageType":
            space = FeatureTypes_pb2.ImageFeatureType.ColorSpace.Name(
                entry.type.imageType.colorSpace
            )
            return f"{entry.name}: {space} image ({entry.type.imageType.height}, " + (
                f"{entry.type.imageType.width})"
            )
        if kind != "multiArrayType":
            return f"{entry.name}: {kind}"
        array = entry.type.multiArrayType
        shape = ", ".join(str(size) for size in array.shape)
        return f"{entry.name}: {arrays.Name(array.dataType).lower()} ({shape})"

    content.inputs = [feature(entry) for entry in spec.description.input]
    content.outputs = [feature(entry) for entry in spec.description.output]
    for function in spec.mlProgram.functions.values():
        block = function.block_specializations[function.opset]
        content.operators.update(op.type for op in block.operations if op.type != "const")
        for value in _stored(block):
            tensor = value.type.tensorType
            kind = MIL_pb2.DataType.Name(tensor.dataType).lower()
            values = int(np.prod([axis.constant.size for axis in tensor.dimensions]))
            bits = int("".join(filter(str.isdigit, kind)) or 8)
            content.weigh(kind, values, (values * bits + 7) // 8)
    needed = sum(size for _, size in content.weights.values())
    kept = sum(f.stat().st_size for f in package.rglob("*") if f.suffix == ".bin")
    if kept < needed:
        raise _damaged(package, f"its weights need {needed:,} bytes, it holds {kept:,}")
    content.ours = KEY in spec.description.metadata.userDefined
    return content


def _stored(block: Any) -> Iterator[Any]:
    """The values of a program that lie in its weight file."""
    for operation in block.operations:
        given = [
            argument.value for entry in operation.inputs.values() for argument in entry.arguments
        ]
        for value in (*operation.attributes.values(), *given):
            if value.WhichOneof("value") == "blobFileValue":
                yield value


READERS: dict[str, Callable[[Path], Content]] = {
    "tflite": _tflite,
    "onnx": _onnx,
    "coreml": _coreml,
}
"""By target: what reads a file of it, or says that it is truncated (`UserError`)."""
