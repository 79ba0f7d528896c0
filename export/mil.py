"""A reference runner for Core ML packages: reads an ML Program and computes it with torch.

Core ML itself runs on Apple's systems only. What can be checked anywhere is the package: its
program (protobuf) and its weights (`weight.bin`) hold all that a device computes. The runner takes
both from the package, never from the network they were made from.

Float16 operations are computed in float32 and rounded once after each operation, as an engine that
accumulates in float32 does. The Neural Engine accumulates differently: its results can be off by
more than this runner says.
"""

from __future__ import annotations

import inspect
import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.errors import UserError
from edgecmp.export.mil_ops import OPERATIONS
from edgecmp.export.quiet import quiet_coremltools

__all__ = ["MilProgram", "Weight"]

FLOAT16, FLOAT32, STRING = 10, 11, 2
NUMPY_TYPES: dict[int, type[np.generic]] = {
    1: np.bool_,
    FLOAT16: np.float16,
    FLOAT32: np.float32,
    12: np.float64,
    21: np.int8,
    22: np.int16,
    23: np.int32,
    24: np.int64,
    31: np.uint8,
    32: np.uint16,
}
"""Values of MIL's DataType enumeration that a package of ours can hold."""

BLOB_TYPES: dict[int, type[np.generic]] = {1: np.float16, 2: np.float32, 3: np.uint8, 4: np.int8}
"""Values of the type field of a record in weight.bin."""

BLOB_SENTINEL = 0xDEADBEEF
BLOB_HEADER = struct.Struct("<IIQQ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """A constant kept in weight.bin: its values and the offset of its record in the file."""

    file: Path
    offset: int
    values: NDArray[np.generic]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Output:
    name: str
    half: bool
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Operation:
    """One call: each argument is a constant or, in `names`, the name of a value (or of several)."""

    type: str
    constants: dict[str, Any]
    names: dict[str, str | tuple[str, ...]]
    outputs: tuple[_Output, ...]


class MilProgram:
    """The program of one .mlpackage, ready to run.

    Attributes:
        inputs: shape of each input, by name, batch axis included.
        outputs: names of the outputs.
        weights: what was read from weight.bin, by the constant's name.
        metadata: the package's user-defined metadata.

    Raises:
        UserError: the package is truncated, is no ML Program, or holds an operation that the runner
            does not know.
    """

    def __init__(self, package: str | Path) -> None:
        self.package = Path(package)
        self.weights: dict[str, Weight] = {}
        self._files: dict[Path, NDArray[np.uint8]] = {}
        with self._reading():
            model = _root_model(self.package)
            self._folder = model.parent
            spec = _model_message().FromString(model.read_bytes())
            self.metadata: dict[str, str] = dict(spec.description.metadata.userDefined)
            if spec.WhichOneof("Type") != "mlProgram":
                raise ValueError("it holds no ML Program")
            function = spec.mlProgram.functions["main"]
            block = function.block_specializations[function.opset]
            self.inputs = {value.name: _shape(value.type) for value in function.inputs}
            self.outputs = tuple(block.outputs)
            self._operations = self._read_operations(block)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

        damage = (OSError, ValueError, LookupError, TypeError, OverflowError, struct.error)
        try:
            yield
        except (*damage, DecodeError) as error:
            raise UserError(
                f"{self.package} is not a whole Core ML package: {error}.",
                "Copy it again, or write it again with `edgecmp export --target coreml`.",
            ) from error

    def _read_operations(self, block: Any) -> tuple[_Operation, ...]:
        constants: dict[str, Any] = {}
        known = set(self.inputs)
        operations: list[_Operation] = []
        for message in block.operations:
            if message.type == "const":
                name = message.outputs[0].name
                constants[name] = self._value(message.attributes["val"], name)
                continue
            operation = self._read_operation(message, constants)
            _check(operation, known)
            known.update(output.name for output in operation.outputs)
            operations.append(operation)
        missing = [name for name in self.outputs if name not in known]
        if missing or not self.outputs:
            raise ValueError(f"nothing computes its output {' '.join(missing)}")
        return tuple(operations)

    def _read_operation(self, message: Any, constants: Mapping[str, Any]) -> _Operation:
        fixed: dict[str, Any] = {
            key: self._value(value, key)
            for key, value in message.attributes.items()
            if key != "name"
        }
        names: dict[str, str | tuple[str, ...]] = {}
        for key, value in message.inputs.items():
            bound = [argument.name for argument in value.arguments if argument.name]
            if len(bound) != len(value.arguments):
                fixed[key] = self._value(value.arguments[0].value, key)
            elif key == "values":
                names[key] = tuple(bound)
            elif bound[0] in constants:
                fixed[key] = constants[bound[0]]
            else:
                names[key] = bound[0]
        outputs = []
        for output in message.outputs:
            kind = output.type.tensorType.dataType
            if kind not in (FLOAT16, FLOAT32):
                raise ValueError(f"{output.name} of its program is no floating-point tensor")
            shape = _shape(output.type)
            outputs.append(_Output(name=output.name, half=kind == FLOAT16, shape=shape))
        return _Operation(type=message.type, constants=fixed, names=names, outputs=tuple(outputs))

    def _value(self, message: Any, name: str) -> Any:
        """A constant: floats as a float32 tensor (scalars as float), the rest as Python values."""
        kind = message.type.tensorType.dataType
        shape = _shape(message.type)
        if message.WhichOneof("value") == "blobFileValue":
            array = self._blob(message, name, kind, shape)
        else:
            tensor = message.immediateValue.tensor
            field = tensor.WhichOneof("value")
            if field is None:
                raise ValueError(f"its constant {name!r} has no value")
            values = getattr(tensor, field).values
            if kind == STRING:
                return values[0]
            array = (
                np.frombuffer(values, _numpy_type(kind))
                if field == "bytes"
                else np.array(values, _numpy_type(kind))
            ).reshape(shape)
        if array.dtype.kind != "f" or array.ndim == 0:
            return array.tolist()
        return torch.from_numpy(array.astype(np.float32))

    def _blob(
        self, message: Any, name: str, kind: int, shape: tuple[int, ...]
    ) -> NDArray[np.generic]:
        reference = message.blobFileValue
        file = Path(reference.fileName.replace("@model_path", str(self._folder)))
        if file not in self._files:
            self._files[file] = np.fromfile(file, np.uint8)
        data, start = self._files[file], reference.offset
        if start + BLOB_HEADER.size > len(data):
            raise ValueError(f"{file.name} ends before its constant {name!r}")
        sentinel, blob_type, size, offset = BLOB_HEADER.unpack_from(data.data, start)
        expected = np.dtype(_numpy_type(kind))
        count = int(np.prod(shape, dtype=np.int64))
        if (
            sentinel != BLOB_SENTINEL
            or BLOB_TYPES.get(blob_type) != expected.type
            or size != count * expected.itemsize
        ):
            raise ValueError(f"{file.name} holds no record of its constant {name!r}")
        if offset + size > len(data):
            raise ValueError(f"{file.name} ends inside its constant {name!r}")
        values = data[offset : offset + size].view(expected).reshape(shape)
        self.weights[name] = Weight(file=file, offset=start, values=values)
        return values

    def run(self, **feeds: Tensor) -> dict[str, Tensor]:
        """Runs the program once for each entry of the leading axis.

        Args:
            **feeds: for each input, float32 (N, *shape) where shape is that of `inputs`; the N
                calls are computed together, each as if alone.

        Returns:
            For each output, float32 (N, *shape).
        """
        with torch.inference_mode():
            result: dict[str, Tensor] = torch.vmap(self._call)(feeds)
        return result

    def _call(self, feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        values = dict(feeds)
        for operation in self._operations:
            arguments = dict(operation.constants)
            for key, name in operation.names.items():
                arguments[key] = (
                    values[name] if isinstance(name, str) else [values[part] for part in name]
                )
            result = OPERATIONS[operation.type](**arguments)
            parts = (result,) if isinstance(result, Tensor) else result
            for output, part in zip(operation.outputs, parts, strict=True):
                if tuple(part.shape) != output.shape:
                    raise UserError(
                        f"{self.package} contradicts itself: {output.name} has the shape "
                        f"{tuple(part.shape)}, its program says {output.shape}.",
                        "Write it again with `edgecmp export --target coreml`.",
                    )
                values[output.name] = part.half().float() if output.half else part
        return {name: values[name] for name in self.outputs}


def _check(operation: _Operation, known: set[str]) -> None:
    """Refuses what could not be run, before anything runs."""
    if operation.type not in OPERATIONS:
        raise UserError(
            f"The package holds the operation {operation.type!r}, which the reference runner does "
            "not know.",
            f"It computes {', '.join(sorted(OPERATIONS))}; check this package on macOS.",
        )
    for name in operation.names.values():
        for part in (name,) if isinstance(name, str) else name:
            if part not in known:
                raise ValueError(f"{operation.type} reads {part!r}, which nothing computes")
    signature = inspect.signature(OPERATIONS[operation.type])
    signature.bind(**operation.constants, **operation.names)


def _root_model(package: Path) -> Path:
    """The model file that a package's manifest names."""
    manifest = json.loads((package / "Manifest.json").read_bytes())
    entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    return package / "Data" / str(entry["path"])


def _model_message() -> Any:
    with quiet_coremltools():
        from coremltools.proto import Model_pb2
    return Model_pb2.Model


def _shape(value_type: Any) -> tuple[int, ...]:
    return tuple(int(axis.constant.size) for axis in value_type.tensorType.dimensions)


def _numpy_type(kind: int) -> type[np.generic]:
    if kind not in NUMPY_TYPES:
        raise ValueError(f"it holds constants of MIL type {kind}")
    return NUMPY_TYPES[kind]
