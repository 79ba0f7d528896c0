"""A reference runner for Core ML packages: reads an ML Program and computes it with torch.

Core ML itself runs on Apple's systems only. What can be checked on any system is the package: its
program (protobuf) and its weights (`weight.bin`) contain all that a device computes. The runner
reads both from the package, never from the network that the package was made from.

Float16 operations are computed in float32 and rounded once after each operation, like an engine
that accumulates in float32. The Neural Engine accumulates differently: its results can differ from
torch's by more than this runner's do.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgecmp.errors import UserError
from edgecmp.export.formats.coreml.package import model_path, package_errors, read_model
from edgecmp.export.runtimes.mil.operations import OPERATIONS
from edgecmp.export.runtimes.mil.reader import Operation, read_operations, value_names
from edgecmp.export.runtimes.mil.values import Constants, Weight, shape_of

__all__ = ["MilProgram"]


class MilProgram:
    """The program of one .mlpackage, ready to run.

    Attributes:
        inputs: shape of each input, by name, batch axis included.
        outputs: names of the outputs.
        weights: what was read from weight.bin, by the constant's name.
        metadata: the package's user-defined metadata.

    Raises:
        UserError: the package is truncated, contains no ML Program, or contains an operation that
            the runner does not support.
    """

    def __init__(self, package: str | Path) -> None:
        self.package = Path(package)
        with package_errors(self.package):
            constants = Constants(model_path(self.package).parent)
            self.weights: dict[str, Weight] = constants.weights
            model = read_model(self.package)
            self.metadata: dict[str, str] = dict(model.description.metadata.userDefined)
            if model.WhichOneof("Type") != "mlProgram":
                raise ValueError("it contains no ML Program")
            function = model.mlProgram.functions["main"]
            block = function.block_specializations[function.opset]
            self.inputs = {value.name: shape_of(value.type) for value in function.inputs}
            self.outputs = tuple(block.outputs)
            self._operations = read_operations(block, constants, inputs=self.inputs)

    def run(self, **feeds: Tensor) -> dict[str, Tensor]:
        """Runs the program once for each entry of the leading axis.

        Args:
            **feeds: for each input, float32 (N, *shape), where shape is that of `inputs`; the N
                calls are computed together, each as if alone.

        Returns:
            For each output, float32 (N, *shape).
        """
        with torch.inference_mode():
            result: dict[str, Tensor] = torch.vmap(self._call)(feeds)
        return result

    def layers(self, **feeds: Tensor) -> list[Tensor]:
        """The outputs of the convolutions and linear layers, each after its ReLU, in order.

        Args:
            **feeds: as for `run`.

        Returns:
            For each layer, float32 (N, 1, ...).
        """
        names = [
            self._after_relu(operation.outputs[0].name)
            for operation in self._operations
            if operation.type in ("conv", "linear")
        ]
        call = functools.partial(self._call, wanted=tuple(names))
        with torch.inference_mode():
            values: dict[str, Tensor] = torch.vmap(call)(feeds)
        return [values[name] for name in names]

    def _after_relu(self, name: str) -> str:
        """The output of the ReLU that alone reads a value, or else the value itself."""
        current = name
        while True:
            readers = [o for o in self._operations if current in value_names(o)]
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
            values |= self._results(operation, values)
        return {name: values[name] for name in wanted or self.outputs}

    def _results(self, operation: Operation, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs of one operation, rounded to their declared types."""
        computed: dict[str, Any] = {
            key: values[name] if isinstance(name, str) else [values[entry] for entry in name]
            for key, name in operation.names.items()
        }
        result = OPERATIONS[operation.type](**operation.constants, **computed)
        tensors = (result,) if isinstance(result, Tensor) else result
        for output, tensor in zip(operation.outputs, tensors, strict=True):
            if tuple(tensor.shape) != output.shape:
                raise UserError(
                    f"{self.package} contradicts itself: {output.name} has the shape "
                    f"{tuple(tensor.shape)}, but its program declares {output.shape}.",
                    "Write it again with `edgecmp export --target coreml`.",
                )
        return {
            output.name: tensor.half().float() if output.float16 else tensor
            for output, tensor in zip(operation.outputs, tensors, strict=True)
        }
