"""A TFLite model under construction: tensors, constants and operators, then one flatbuffer.

Operator versions stay low enough for tflite-runtime 2.14, and equal models have equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecmp.export.quantisation.scheme import Quantisation

__all__ = ["ALIGNMENT", "TFLiteBuilder", "with_outputs"]

ALIGNMENT = 16
"""Bytes; the format requires it of constants, since runtimes map them into memory."""

IDENTIFIER = b"TFL3"
TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
}


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data starts at a multiple of `ALIGNMENT`, unlike the generated class's."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the generated name)
        if self.data is None:
            return int(super().Pack(builder))
        builder.StartVector(1, len(self.data), ALIGNMENT)
        head = builder.Head() - len(self.data)
        builder.head = head
        builder.Bytes[head : head + len(self.data)] = self.data
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def _table(quantisation: Quantisation) -> Any:
    """The schema's table of a quantisation."""
    table = schema.QuantizationParametersT()
    table.scale = quantisation.scale.tolist()
    table.zeroPoint = [quantisation.zero_point] * len(table.scale)
    table.quantizedDimension = quantisation.axis
    return table


class TFLiteBuilder:
    """Collects the tensors and operators of a model with one subgraph.

    A tensor is identified by its index.
    """

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: list[Any] = []
        self._code_index: dict[tuple[int, int], int] = {}
        self._buffers: list[Any] = [_AlignedBuffer()]  # buffer 0 is empty, by convention
        self._buffer_index: dict[bytes, int] = {}

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: type = np.float32,
        quantisation: Quantisation | None = None,
    ) -> int:
        """Adds a tensor that is computed or set at run time; returns its index."""
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = list(shape)
        tensor.type = TYPES[np.dtype(dtype)]
        tensor.buffer = 0
        if quantisation is not None:
            tensor.quantization = _table(quantisation)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def constant(
        self, name: str, values: np.ndarray[Any, Any], quantisation: Quantisation | None = None
    ) -> int:
        """Adds a tensor with values; returns its index. Equal bytes are stored once."""
        index = self.tensor(name, values.shape, values.dtype.type, quantisation)
        self._tensors[index].buffer = self._buffer(np.ascontiguousarray(values).tobytes())
        return index

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(self._tensors[tensor].shape)

    def operator(
        self,
        kind: str,
        inputs: Sequence[int],
        name: str,
        shape: Sequence[int],
        options: Mapping[str, Any] | None = None,
        *,
        options_type: str | None = None,
        version: int = 1,
        dtype: type = np.float32,
        quantisation: Quantisation | None = None,
    ) -> int:
        """Appends an operator; returns the index of its output.

        Args:
            kind: as in `BuiltinOperator`, such as "CONV_2D".
            inputs: indices of its inputs.
            name: of its output.
            shape: of its output.
            options: fields of the options table.
            options_type: the table, such as "Conv2DOptions"; None: no table.
            version: of the operator.
            dtype: of its output.
            quantisation: of its output.
        """
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(schema.BuiltinOperator, kind), version)
        operator.inputs = list(inputs)
        operator.outputs = [self.tensor(name, shape, dtype, quantisation)]
        if options_type is not None:
            table = getattr(schema, f"{options_type}T")()
            for field, value in (options or {}).items():
                setattr(table, field, value)
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options_type)
            operator.builtinOptions = table
        self._operators.append(operator)
        return int(operator.outputs[0])

    def finish(
        self,
        *,
        inputs: Mapping[str, int],
        outputs: Mapping[str, int],
        metadata: Mapping[str, bytes],
        description: str,
    ) -> bytes:
        """The bytes of the model with one signature, "serving_default"."""
        subgraph = schema.SubGraphT()
        subgraph.name = b"main"
        subgraph.tensors = self._tensors
        subgraph.operators = self._operators
        subgraph.inputs = list(inputs.values())
        subgraph.outputs = list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        signature.subgraphIndex = 0
        signature.inputs = [_mapping(name, index) for name, index in inputs.items()]
        signature.outputs = [_mapping(name, index) for name, index in outputs.items()]
        model = schema.ModelT()
        model.version = 3
        model.description = description.encode()
        model.metadata = []
        for name, data in metadata.items():
            entry = schema.MetadataT()
            entry.name = name.encode()
            entry.buffer = self._buffer(data)
            model.metadata.append(entry)
        model.operatorCodes = self._codes
        model.subgraphs = [subgraph]
        model.buffers = self._buffers
        model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _buffer(self, data: bytes) -> int:
        if data not in self._buffer_index:
            buffer = _AlignedBuffer()
            buffer.data = data
            self._buffers.append(buffer)
            self._buffer_index[data] = len(self._buffers) - 1
        return self._buffer_index[data]

    def _code(self, builtin: int, version: int) -> int:
        if (builtin, version) not in self._code_index:
            code = schema.OperatorCodeT()
            code.builtinCode = builtin
            code.deprecatedBuiltinCode = min(builtin, 127)  # read by old runtimes
            code.version = version
            self._codes.append(code)
            self._code_index[builtin, version] = len(self._codes) - 1
        return self._code_index[builtin, version]


def _mapping(name: str, tensor: int) -> Any:
    """A named input or output of a signature."""
    mapping = schema.TensorMapT()
    mapping.name = name.encode()
    mapping.tensorIndex = tensor
    return mapping


def with_outputs(model: bytes, names: Sequence[str]) -> bytes | None:
    """A copy of a TFLite file with the tensors `names` as its outputs; None if it lacks one."""
    parsed = schema.ModelT.InitFromPackedBuf(model)
    (graph,) = parsed.subgraphs
    indices = {tensor.name.decode(): index for index, tensor in enumerate(graph.tensors)}
    if not all(name in indices for name in names):
        return None
    graph.outputs = [indices[name] for name in names]
    parsed.signatureDefs = []
    for index, buffer in enumerate(parsed.buffers):
        aligned = _AlignedBuffer()
        aligned.data = None if buffer.data is None else bytes(buffer.data)
        parsed.buffers[index] = aligned
    builder = flatbuffers.Builder(len(model) + 4096)
    builder.Finish(parsed.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
