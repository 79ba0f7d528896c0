"""The convolutions and linear layers of a .tflite file: kind, name, shape and MACs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.bench.operators import Operator

__all__ = ["CONVOLUTIONS", "read_convolutions"]

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""The names of these operators in TFLite."""


def read_convolutions(path: Path) -> list[Operator]:
    """The convolutions and linear layers in the order of the file, each with a time of 0."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    convolutions = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if name in CONVOLUTIONS:
            weight, result = (graph.tensors[i] for i in (operator.inputs[1], operator.outputs[0]))
            shape = tuple(int(size) for size in result.shape)
            kind, taps = _kind_and_taps(name, weight.shape, operator.builtinOptions)
            convolutions.append(
                Operator(
                    kind=kind,
                    name=result.name.decode(),
                    shape=shape,
                    macs=math.prod(shape) * taps,
                    time_us=0.0,
                )
            )
    return convolutions


def _kind_and_taps(name: str, weight_shape: Any, options: Any) -> tuple[str, int]:
    """The operator's kind in a profile, and its multiply-adds per output value.

    Args:
        name: one of `CONVOLUTIONS`.
        weight_shape: (O, kH, kW, I), (1, kH, kW, C) if depthwise, (O, I) of a linear layer.
        options: the operator's options, an object of the schema.
    """
    taps = math.prod(int(size) for size in weight_shape[1:])
    if name == "FULLY_CONNECTED":
        return "linear", taps
    kind = "conv"
    if name == "DEPTHWISE_CONV_2D":
        kind = "depthwise"
        taps //= int(weight_shape[-1])  # each output channel reads one input channel
    kind += f" {'x'.join(str(size) for size in weight_shape[1:3])}"
    if options.strideW > 1:
        kind += f" stride {options.strideW}"
    if options.dilationWFactor > 1:
        kind += f" dilation {options.dilationWFactor}"
    return kind, taps
