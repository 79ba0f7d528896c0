"""A reference runner for Core ML packages: reads an ML Program and computes it with torch.

Core ML itself runs on Apple's systems only. What can be checked anywhere is the package: its
program (protobuf) and its weights (`weight.bin`) hold all that a device computes. The runner takes
both from the package, never from the network they were made from.

Float16 operations are computed in float32 and rounded once after each operation, as an engine that
accumulates in float32 does. The Neural Engine accumulates differently: its results can be off by
more than this runner says.
"""

from __future__ import annotations

import functools
import inspect
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.errors import UserError
from edgecmp.export.runtimes.mil.operations import OPERATIONS
from edgecmp.export.runtimes.mil.values import FLOAT16, FLOAT32, Constants, Weight, shape_of
from edgecmp.export.runtimes.mil.weights import DECOMPRESSIONS
from edgecmp.quiet import quiet_coremltools

__all__ = ["MilProgram"]

Array = NDArray[np.generic]


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
        with self._reading():
            model = _root_model(self.package)
            self._constants = Constants(model.parent)
            self.weights: dict[str, Weight] = self._constants.weights
            spec = _model_message().FromString(model.read_bytes())
            self.metadata: dict[str, str] = dict(spec.description.metadata.userDefined)
            if spec.WhichOneof("Type") != "mlProgram":
                raise ValueError("it holds no ML Program")
            function = spec.mlProgram.functions["main"]
            block = function.block_specializations[function.opset]
            self.inputs = {value.name: shape_of(value.type) for value in function.inputs}
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
        constants: dict[str, Array | str] = {}
        known = set(self.inputs)
        operations: list[_Operation] = []
        for message in block.operations:
            name = message.outputs[0].name
            if message.type == "const":
                constants[name] = self._constants.read(message.attributes["val"], name)
                continue
            fixed, names = self._read_arguments(message, constants)
            if message.type in DECOMPRESSIONS:
                if names:
                    raise ValueError(f"{message.type} reads {names}, which are no constants")
                constants[name] = _decompress(message, fixed)
                continue
            operation = _Operation(
                type=message.type,
                constants={key: _argument(value) for key, value in fixed.items()},
                names=names,
                outputs=tuple(_output(output) for output in message.outputs),
            )
            _check(operation, known)
            known.update(output.name for output in operation.outputs)
            operations.append(operation)
        missing = [name for name in self.outputs if name not in known]
        if missing or not self.outputs:
            raise ValueError(f"nothing computes its output {' '.join(missing)}")
        return tuple(operations)

    def _read_arguments(
        self, message: Any, constants: Mapping[str, Array | str]
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
            elif bound[0] in constants:
                fixed[key] = constants[bound[0]]
            else:
                names[key] = bound[0]
        return fixed, names

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

    def layers(self, **feeds: Tensor) -> list[Tensor]:
        """What its convolutions and linear layers give, each after its ReLU, in order.

        Args:
            **feeds: as for `run`.

        Returns:
            For each layer, float32 (N, 1, ...).
        """
        names = [
            self._after(operation.outputs[0].name)
            for operation in self._operations
            if operation.type in ("conv", "linear")
        ]
        call = functools.partial(self._call, wanted=tuple(names))
        with torch.inference_mode():
            values: dict[str, Tensor] = torch.vmap(call)(feeds)
        return [values[name] for name in names]

    def _after(self, name: str) -> str:
        """The value itself, or what a ReLU makes of it if nothing else reads it."""
        current = name
        while True:
            readers = [o for o in self._operations if current in _flat(o.names.values())]
            if len(readers) != 1 or readers[0].type not in ("cast", "relu"):
                return name
            current = readers[0].outputs[0].name
            if readers[0].type == "relu":
                return current

    def _call(
        self, feeds: dict[str, Tensor], wanted: tuple[str, ...] | None = None
    ) -> dict[str, Tensor]:
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
        return {name: values[name] for name in wanted or self.outputs}


def _flat(names: Iterable[str | tuple[str, ...]]) -> Iterator[str]:
    """The names of all values that an operation reads."""
    for name in names:
        yield from (name,) if isinstance(name, str) else name


def _output(message: Any) -> _Output:
    kind = message.type.tensorType.dataType
    if kind not in (FLOAT16, FLOAT32):
        raise ValueError(f"{message.name} of its program is no floating-point tensor")
    return _Output(name=message.name, half=kind == FLOAT16, shape=shape_of(message.type))


def _decompress(message: Any, arguments: Mapping[str, Array | str]) -> Array:
    """The weight that a `constexpr_...` operation stands for, in its declared type."""
    decompress = DECOMPRESSIONS[message.type]
    inspect.signature(decompress).bind(**arguments)
    values = decompress(**arguments)
    output = _output(message.outputs[0])
    if values.shape != output.shape:
        raise ValueError(f"{output.name} has the shape {values.shape}, not {output.shape}")
    return values.astype(np.float16 if output.half else np.float32)


def _argument(value: Array | str) -> Any:
    """A constant as the operations take it: floats as a float32 tensor, the rest as Python's."""
    if isinstance(value, str):
        return value
    if value.dtype.kind != "f" or value.ndim == 0:
        return value.tolist()
    return torch.from_numpy(value.astype(np.float32))


def _check(operation: _Operation, known: set[str]) -> None:
    """Refuses what could not be run, before anything runs."""
    if operation.type not in OPERATIONS:
        raise UserError(
            f"The package holds the operation {operation.type!r}, which the reference runner does "
            "not know.",
            f"It computes {', '.join(sorted(OPERATIONS))}; check this package on macOS.",
        )
    for part in _flat(operation.names.values()):
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
