"""From the protobuf messages of an ML Program to its operations, checked before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.errors import UserError
from edgecmp.export.runtimes.mil.operations import OPERATIONS
from edgecmp.export.runtimes.mil.values import FLOAT16, FLOAT32, Constants, shape_of
from edgecmp.export.runtimes.mil.weights import DECOMPRESSIONS

__all__ = ["Operation", "Output", "read_operations", "value_names"]

Array = NDArray[np.generic]


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A value that an operation computes; `float16` is its declared type, else float32."""

    name: str
    float16: bool
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One call of an operation.

    Attributes:
        type: its MIL name.
        constants: the constant arguments, by name.
        names: for each other argument, the name of the value, or of the values, that it reads.
        outputs: what it computes.
    """

    type: str
    constants: dict[str, Any]
    names: dict[str, str | tuple[str, ...]]
    outputs: tuple[Output, ...]


def value_names(operation: Operation) -> Iterator[str]:
    """The names of all values that an operation reads."""
    for name in operation.names.values():
        yield from (name,) if isinstance(name, str) else name


def read_operations(
    block: Any, constants: Constants, *, inputs: Mapping[str, tuple[int, ...]]
) -> tuple[Operation, ...]:
    """The operations of a program's block in their order, its constants resolved.

    Args:
        block: the protobuf message.
        constants: reads the constants of the package.
        inputs: shape of each input of the program, by name.

    Raises:
        UserError: an operation is not one of `OPERATIONS`.
        ValueError, LookupError, TypeError, OSError: the program or a constant is damaged.
    """
    reader = _Reader(constants, known=set(inputs))
    for message in block.operations:
        reader.read(message)
    missing = [name for name in block.outputs if name not in reader.known]
    if missing or not block.outputs:
        raise ValueError(f"nothing computes its output {' '.join(missing)}")
    return tuple(reader.operations)


class _Reader:
    """Collects the operations of one block.

    Attributes:
        known: names of the inputs and of all values computed so far.
        operations: those read so far.
    """

    def __init__(self, constants: Constants, *, known: set[str]) -> None:
        self.known = known
        self.operations: list[Operation] = []
        self._constants = constants
        self._values: dict[str, Array | str] = {}

    def read(self, message: Any) -> None:
        """Reads one operation; a constant or a compressed weight becomes a constant value."""
        name = message.outputs[0].name
        if message.type == "const":
            self._values[name] = self._constants.read(message.attributes["val"], name)
            return
        fixed, names = self._arguments(message)
        if message.type in DECOMPRESSIONS:
            if names:
                raise ValueError(f"{message.type} reads {names}, which are not constants")
            self._values[name] = _decompress(message, fixed)
            return
        operation = Operation(
            type=message.type,
            constants={key: _argument(value) for key, value in fixed.items()},
            names=names,
            outputs=tuple(_output(output) for output in message.outputs),
        )
        _check(operation, self.known)
        self.known.update(output.name for output in operation.outputs)
        self.operations.append(operation)

    def _arguments(
        self, message: Any
    ) -> tuple[dict[str, Array | str], dict[str, str | tuple[str, ...]]]:
        """The constant arguments of an operation, and the names of the computed ones."""
        owner = message.outputs[0].name
        fixed = {
            key: self._constants.read(value, f"{owner}.{key}")
            for key, value in message.attributes.items()
            if key != "name"
        }
        names: dict[str, str | tuple[str, ...]] = {}
        for key, value in message.inputs.items():
            bound = [argument.name for argument in value.arguments if argument.name]
            if len(bound) != len(value.arguments):
                fixed[key] = self._constants.read(value.arguments[0].value, f"{owner}.{key}")
            elif key == "values":
                names[key] = tuple(bound)
            elif bound[0] in self._values:
                fixed[key] = self._values[bound[0]]
            else:
                names[key] = bound[0]
        return fixed, names


def _output(message: Any) -> Output:
    kind = message.type.tensorType.dataType
    if kind not in (FLOAT16, FLOAT32):
        raise ValueError(f"{message.name} of its program is not a floating-point tensor")
    return Output(name=message.name, float16=kind == FLOAT16, shape=shape_of(message.type))


def _decompress(message: Any, arguments: Mapping[str, Array | str]) -> Array:
    """The weight that a `constexpr_...` operation decompresses, in its declared type."""
    decompress = DECOMPRESSIONS[message.type]
    inspect.signature(decompress).bind(**arguments)
    values = decompress(**arguments)
    output = _output(message.outputs[0])
    if values.shape != output.shape:
        raise ValueError(f"{output.name} has the shape {values.shape}, not {output.shape}")
    return values.astype(np.float16 if output.float16 else np.float32)


def _argument(value: Array | str) -> Any:
    """A constant as the operations take it: float arrays as float32 tensors, the rest as Python's.

    A scalar stays a Python number.
    """
    if isinstance(value, str):
        return value
    if value.dtype.kind != "f" or value.ndim == 0:
        return value.tolist()
    return torch.from_numpy(value.astype(np.float32))


def _check(operation: Operation, known: set[str]) -> None:
    """Refuses an operation that could not be run."""
    if operation.type not in OPERATIONS:
        raise UserError(
            f"The package contains the operation {operation.type!r}, which the reference runner "
            "does not support.",
            f"Check this package on macOS; the runner supports {', '.join(sorted(OPERATIONS))}.",
        )
    for name in value_names(operation):
        if name not in known:
            raise ValueError(f"{operation.type} reads {name!r}, which nothing computes")
    signature = inspect.signature(OPERATIONS[operation.type])
    signature.bind(**operation.constants, **operation.names)
