"""From the nodes of a lowered network to TFLite operators, one function a kind of node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from edgecmp.export.flatbuffer import Quantisation, TFLiteBuilder
from edgecmp.export.half import halved
from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.graph import IMAGE, Graph
from edgecmp.export.lowering.pad_stride2 import is_same

__all__ = ["write_graph"]

Array = np.ndarray[Any, Any]


def write_graph(graph: Graph, *, half: bool, metadata: Mapping[str, bytes]) -> bytes:
    """The TFLite file of `graph` at batch 1; `half` stores the weights as float16."""
    return _Writer(graph, half=half).write(metadata)


class _Writer:
    """Walks the graph once; `values` maps node names to tensors."""

    def __init__(self, graph: Graph, *, half: bool) -> None:
        self.graph = graph
        self.half = half
        self.graph_shapes = graph.shapes()
        self.shapes = {name: _nhwc(shape) for name, shape in self.graph_shapes.items()}
        self.builder = TFLiteBuilder()
        self.values: dict[str, int] = {}

    def write(self, metadata: Mapping[str, bytes]) -> bytes:
        builder = self.builder
        image = self.image()
        for node in self.graph:
            inputs = [self.values[name] for name in node.inputs]
            self.values[node.name] = KINDS[type(node)](self, node, inputs)
        output = self.graph.nodes[-1].name
        return builder.finish(
            inputs={IMAGE: image},
            outputs={output: self.values[output]},
            metadata=metadata,
            description="edgecmp query network",
        )

    def image(self) -> int:
        """The input; pixels are made floats of the same value."""
        shape = self.shapes[IMAGE]
        if not self.graph.reads_pixels:
            self.values[IMAGE] = self.builder.tensor(IMAGE, shape)
            return self.values[IMAGE]
        pixel = Quantisation(scale=np.ones(1, np.float32))
        image = self.builder.tensor(IMAGE, shape, np.uint8, pixel)
        self.values[IMAGE] = self.builder.operator(
            "DEQUANTIZE", [image], f"{IMAGE}/pixels", shape, options_type="DequantizeOptions"
        )
        return image

    def weight(self, name: str, values: Tensor) -> int:
        """A constant in the chosen precision; runtimes expand float16 once, when they load."""
        array: Array = values.contiguous().numpy()
        if not self.half:
            return self.builder.constant(name, array)
        stored = self.builder.constant(f"{name}/fp16", halved(name, array))
        return self.builder.operator(
            "DEQUANTIZE", [stored], name, array.shape, options_type="DequantizeOptions", version=3
        )

    def bias(self, name: str, values: Tensor) -> int:
        """A constant that stays float32: a bias costs nothing and half precision would move it."""
        return self.builder.constant(name, values.numpy())

    def integers(self, name: str, values: Any) -> int:
        """A constant of sizes or offsets."""
        return self.builder.constant(name, np.array(values, np.int32))

    def conv(self, node: ir.Conv, inputs: list[int]) -> int:
        """CONV_2D or DEPTHWISE_CONV_2D; the padding is SAME or none (see `pad_stride2`)."""
        same = is_same(node, self.graph_shapes[node.inputs[0]])
        if not same and any(node.padding):
            raise ValueError(f"TFLite cannot pad {node.name}: lower with pad_stride2.")
        kind, options = "CONV_2D", "Conv2DOptions"
        weight = node.weight.permute(0, 2, 3, 1)  # (out, kh, kw, in)
        extra: dict[str, int] = {}
        if node.depthwise:
            kind, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
            weight = node.weight.permute(1, 2, 3, 0)  # (1, kh, kw, out)
            extra = {"depthMultiplier": 1}
        return self.builder.operator(
            kind,
            [
                *inputs,
                self.weight(f"{node.name}/weight", weight),
                self.bias(f"{node.name}/bias", node.bias),
            ],
            node.name,
            self.shapes[node.name],
            {
                "padding": schema.Padding.SAME if same else schema.Padding.VALID,
                "strideH": node.stride,
                "strideW": node.stride,
                "dilationHFactor": node.dilation[0],
                "dilationWFactor": node.dilation[1],
                "fusedActivationFunction": _activation(node.relu),
                **extra,
            },
            options_type=options,
            version=2 if node.depthwise and node.dilation != (1, 1) else 1,
        )

    def affine(self, node: ir.Affine, inputs: list[int]) -> int:
        """MUL and ADD with one value a channel, ADD alone where the scale is one."""
        shape = self.shapes[node.name]
        shift = self.bias(f"{node.name}/shift", node.shift)
        if bool((node.scale == 1).all()):
            return self.add_up(node.name, [*inputs, shift], node.relu)
        scaled = self.builder.operator(
            "MUL",
            [*inputs, self.bias(f"{node.name}/scale", node.scale)],
            f"{node.name}/scaled",
            shape,
            {"fusedActivationFunction": _activation(False)},
            options_type="MulOptions",
        )
        return self.add_up(node.name, [scaled, shift], node.relu)

    def add(self, node: ir.Add, inputs: list[int]) -> int:
        """ADD of two feature maps."""
        return self.add_up(node.name, inputs, node.relu)

    def add_up(self, name: str, inputs: list[int], relu: bool) -> int:
        """ADD, the second input broadcast to the first."""
        return self.builder.operator(
            "ADD",
            inputs,
            name,
            self.builder.shape(inputs[0]),
            {"fusedActivationFunction": _activation(relu)},
            options_type="AddOptions",
        )

    def take(self, node: ir.Take, inputs: list[int]) -> int:
        """SLICE of neighbouring channels, or STRIDED_SLICE."""
        batch, height, width, channels = self.shapes[node.name]
        if node.step == 1:
            limits = [
                self.integers(f"{node.name}/begin", [0, 0, 0, node.start]),
                self.integers(f"{node.name}/size", [batch, height, width, channels]),
            ]
            return self.builder.operator(
                "SLICE",
                [*inputs, *limits],
                node.name,
                self.shapes[node.name],
                options_type="SliceOptions",
            )
        limits = [
            self.integers(f"{node.name}/begin", [0, 0, 0, node.start]),
            self.integers(f"{node.name}/end", [batch, height, width, node.stop]),
            self.integers(f"{node.name}/strides", [1, 1, 1, node.step]),
        ]
        return self.builder.operator(
            "STRIDED_SLICE",
            [*inputs, *limits],
            node.name,
            self.shapes[node.name],
            options_type="StridedSliceOptions",
        )

    def concat(self, node: ir.Concat, inputs: list[int]) -> int:
        """CONCATENATION along the channels."""
        return self.builder.operator(
            "CONCATENATION",
            inputs,
            node.name,
            self.shapes[node.name],
            {"axis": 3, "fusedActivationFunction": _activation(False)},
            options_type="ConcatenationOptions",
        )

    def pad(self, node: ir.Pad, inputs: list[int]) -> int:
        """PAD with zeros."""
        top, bottom, left, right = node.amounts
        sizes = [[0, 0], [top, bottom], [left, right], [0, 0]]
        return self.builder.operator(
            "PAD",
            [*inputs, self.integers(f"{node.name}/sizes", sizes)],
            node.name,
            self.shapes[node.name],
            options_type="PadOptions",
        )

    def mean(self, node: ir.Mean, inputs: list[int]) -> int:
        """MEAN over height and width."""
        return self.builder.operator(
            "MEAN",
            [*inputs, self.integers(f"{node.name}/axes", [1, 2])],
            node.name,
            self.shapes[node.name],
            {"keepDims": False},
            options_type="ReducerOptions",
        )

    def linear(self, node: ir.Linear, inputs: list[int]) -> int:
        """FULLY_CONNECTED."""
        return self.builder.operator(
            "FULLY_CONNECTED",
            [
                *inputs,
                self.weight(f"{node.name}/weight", node.weight),
                self.bias(f"{node.name}/bias", node.bias),
            ],
            node.name,
            self.shapes[node.name],
            {"fusedActivationFunction": _activation(False)},
            options_type="FullyConnectedOptions",
        )

    def normalise(self, node: ir.Normalise, inputs: list[int]) -> int:
        """L2_NORMALIZATION."""
        return self.builder.operator(
            "L2_NORMALIZATION",
            inputs,
            node.name,
            self.shapes[node.name],
            {"fusedActivationFunction": _activation(False)},
            options_type="L2NormOptions",
        )


KINDS: dict[type[ir.Node], Callable[[_Writer, Any, list[int]], int]] = {
    ir.Conv: _Writer.conv,
    ir.Affine: _Writer.affine,
    ir.Take: _Writer.take,
    ir.Concat: _Writer.concat,
    ir.Add: _Writer.add,
    ir.Pad: _Writer.pad,
    ir.Mean: _Writer.mean,
    ir.Linear: _Writer.linear,
    ir.Normalise: _Writer.normalise,
}


def _nhwc(shape: ir.Shape) -> tuple[int, ...]:
    """(C, H, W) to (1, H, W, C), (C,) to (1, C)."""
    return (1, *shape[1:], shape[0])


def _activation(relu: bool) -> int:
    kinds = schema.ActivationFunctionType
    return int(kinds.RELU if relu else kinds.NONE)
