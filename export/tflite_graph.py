"""From the nodes of a lowered network to TFLite operators, one function a kind of node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from edgecmp.export.flatbuffer import Quantisation, TFLiteBuilder
from edgecmp.export.half import halved
from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.extra_nodes import Activation, clipped_at_once
from edgecmp.export.lowering.graph import IMAGE, Graph
from edgecmp.export.lowering.pad_stride2 import is_same
from edgecmp.export.quantisation.plan import Plan
from edgecmp.export.quantisation.weights import SMALL, quantise_layer, quantise_weight
from edgecmp.export.tflite_operators import FUSIBLE, MOVING, no_activation

__all__ = ["write_graph", "write_part"]

Array = np.ndarray[Any, Any]


def write_graph(
    graph: Graph, *, store: str = "fp32", plan: Plan | None = None, metadata: Mapping[str, bytes]
) -> bytes:
    """The TFLite file of `graph` at batch 1; it reads and gives floats, or reads pixels.

    Args:
        graph: what is computed.
        store: how the weights of float operators are stored: "fp32", "fp16" or "int8".
        plan: the values that are computed in integers, and their scales; None: none is.
        metadata: documents for the file, by name.
    """
    return _Writer(graph, store=store, plan=plan).write(metadata)


def write_part(
    graph: Graph, *, plan: Plan | None = None, outputs: Sequence[str], first: bool
) -> bytes:
    """The TFLite file of a part of a network: no value is converted that the network does not.

    Args:
        graph: the part; its `IMAGE` is what the part reads.
        plan: as in `write_graph`; with `IMAGE`, if the part reads integers.
        outputs: names of the values that are read behind it.
        first: `IMAGE` is the network's own input.
    """
    return _Writer(graph, store="fp32", plan=plan, inside=not first).write({}, outputs)


class _Writer:
    """Walks the graph once; `values` maps names to tensors of the kind the plan says."""

    def __init__(
        self, graph: Graph, *, store: str, plan: Plan | None, inside: bool = False
    ) -> None:
        self.graph = graph
        self.inside = inside
        self.store = store
        self.plan = plan or {}
        self.fused = clipped_at_once(graph)
        self.graph_shapes = graph.shapes()
        self.shapes = {name: _nhwc(shape) for name, shape in self.graph_shapes.items()}
        self.builder = TFLiteBuilder()
        self.values: dict[str, int] = {}
        self.other: dict[str, int] = {}

    def write(self, metadata: Mapping[str, bytes], outputs: Sequence[str] = ()) -> bytes:
        image = self.image()
        for node in self.graph:
            inputs = [self.read(name, integer=self.integer(node)) for name in node.inputs]
            value = KINDS[type(node)](self, node, inputs)
            if node.name in self.plan and not self.integer(node):
                value = self.convert(node.name, value, integer=True)
            self.values[node.name] = value
        output = self.graph.nodes[-1].name
        return self.builder.finish(
            inputs={IMAGE: image},
            outputs={name: self.values[name] for name in outputs}
            or {output: self.read(output, integer=False)},
            metadata=metadata,
            description="edgecmp query network",
        )

    def image(self) -> int:
        """The input: normalised floats, or pixels, which become floats or integers."""
        shape = self.shapes[IMAGE]
        if self.inside and IMAGE in self.plan:
            self.values[IMAGE] = self.builder.tensor(IMAGE, shape, np.int8, self.plan[IMAGE])
            return self.values[IMAGE]
        if not self.graph.reads_pixels:
            image = self.builder.tensor(IMAGE, shape)
            self.values[IMAGE] = image
            if IMAGE in self.plan:
                self.values[IMAGE] = self.convert(IMAGE, image, integer=True)
            return image
        zero = self.plan[IMAGE].zero_point + 128 if IMAGE in self.plan else 0
        pixel = Quantisation(scale=np.ones(1, np.float32), zero_point=zero)
        image = self.builder.tensor(IMAGE, shape, np.uint8, pixel)
        self.values[IMAGE] = self.convert(IMAGE, image, integer=IMAGE in self.plan)
        return image

    def integer(self, node: ir.Node) -> bool:
        """Whether a node is computed in integers; h-sigmoid, of a few numbers, never is."""
        if isinstance(node, Activation) and node.kind == "hsigmoid":
            return False
        return node.name in self.plan

    def kind_of(self, node: ir.Node) -> dict[str, Any]:
        """Type and quantisation of the tensors of a node's value."""
        if not self.integer(node):
            return {}
        return {"dtype": np.int8, "quantisation": self.plan[node.name]}

    def read(self, name: str, *, integer: bool) -> int:
        """A value as integers or as floats, converted once where it is of the other kind."""
        if integer == (name in self.plan):
            return self.values[name]
        if name not in self.other:
            self.other[name] = self.convert(name, self.values[name], integer=integer)
        return self.other[name]

    def convert(self, name: str, tensor: int, *, integer: bool) -> int:
        """QUANTIZE or DEQUANTIZE."""
        if integer:
            return self.builder.operator(
                "QUANTIZE",
                [tensor],
                f"{name}/int8",
                self.shapes[name],
                options_type="QuantizeOptions",
                dtype=np.int8,
                quantisation=self.plan[name],
            )
        return self.builder.operator(
            "DEQUANTIZE",
            [tensor],
            f"{name}/float",
            self.shapes[name],
            options_type="DequantizeOptions",
            version=2,
        )

    def give(
        self,
        kind: str,
        inputs: Sequence[int],
        node: ir.Node,
        options: Mapping[str, Any] | None = None,
        *,
        options_type: str | None,
        version: int = 1,
    ) -> int:
        """Appends the operator that computes a node's value, in integers where the plan says so.

        A value that an activation was fused into has the activation's name.
        """
        named = self.fused.get(node.name, node)
        return self.builder.operator(
            kind,
            inputs,
            named.name,
            self.shapes[node.name],
            options,
            options_type=options_type,
            version=INTEGER_VERSIONS[kind] if self.integer(node) else version,
            **self.kind_of(node),
        )

    def weight(self, name: str, values: Tensor, axis: int) -> int:
        """A constant of a float operator; runtimes expand what is stored smaller when they load.

        `axis` is that of the output channels.
        """
        array: Array = values.contiguous().numpy()
        if self.store == "fp32":
            return self.builder.constant(name, array)
        if self.store == "fp16" or array.size < SMALL:
            stored = self.builder.constant(f"{name}/fp16", halved(name, array))
            version = 3
        else:
            quantised, scale = quantise_weight(array, axis)
            stored = self.builder.constant(
                f"{name}/int8", quantised, Quantisation(scale=scale, axis=axis)
            )
            version = 5
        return self.builder.operator(
            "DEQUANTIZE",
            [stored],
            name,
            array.shape,
            options_type="DequantizeOptions",
            version=version,
        )

    def bias(self, name: str, values: Tensor) -> int:
        """A constant that stays float32: a bias costs nothing and half precision would move it."""
        return self.builder.constant(name, values.numpy())

    def weights(self, node: ir.Conv | ir.Linear, values: Tensor, axis: int) -> list[int]:
        """Weight and bias of a node: floats, or int8 a channel and int32."""
        if node.name not in self.plan:
            return [
                self.weight(f"{node.name}/weight", values, axis),
                self.bias(f"{node.name}/bias", node.bias),
            ]
        incoming = self.plan[node.inputs[0]].scale[0]
        quantised, bias, scale = quantise_layer(
            values.contiguous().numpy(), node.bias.numpy(), axis=axis, incoming=incoming
        )
        return [
            self.builder.constant(
                f"{node.name}/weight", quantised, Quantisation(scale=scale, axis=axis)
            ),
            self.builder.constant(
                f"{node.name}/bias", bias, Quantisation(scale=scale * incoming, axis=0)
            ),
        ]

    def integers(self, name: str, values: Any) -> int:
        """A constant of shape and place parameters."""
        return self.builder.constant(name, np.array(values, np.int32))

    def activation(self, node: ir.Node, *, relu: bool = False) -> dict[str, int]:
        """The field that says what an operator does to its values on the way."""
        if node.name in self.fused:
            return {"fusedActivationFunction": FUSIBLE[self.fused[node.name].kind]}
        return {"fusedActivationFunction": FUSIBLE["relu"]} if relu else no_activation()

    def conv(self, node: ir.Conv, inputs: list[int]) -> int:
        """CONV_2D or DEPTHWISE_CONV_2D, its ReLU fused."""
        same = any(node.padding)
        if same and not is_same(node, self.graph_shapes[node.inputs[0]]):
            raise ValueError(f"TFLite cannot pad {node.name}: lower with pad_stride2.")
        kind, options, axis = "CONV_2D", "Conv2DOptions", 0
        weight = node.weight.permute(0, 2, 3, 1)  # (out, kh, kw, in)
        extra: dict[str, int] = {}
        if node.depthwise:
            kind, options, axis = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", 3
            weight = node.weight.permute(1, 2, 3, 0)  # (1, kh, kw, out)
            extra = {"depthMultiplier": 1}
        return self.give(
            kind,
            [*inputs, *self.weights(node, weight, axis)],
            node,
            {
                "padding": schema.Padding.SAME if same else schema.Padding.VALID,
                "strideH": node.stride,
                "strideW": node.stride,
                "dilationHFactor": node.dilation[0],
                "dilationWFactor": node.dilation[1],
                **self.activation(node, relu=node.relu),
                **extra,
            },
            options_type=options,
            version=2 if node.depthwise and node.dilation != (1, 1) else 1,
        )

    def affine(self, node: ir.Affine, inputs: list[int]) -> int:
        """MUL and ADD with one value a channel, ADD alone where the scale is one."""
        scaled = inputs[0]
        if not bool((node.scale == 1).all()):
            scaled = self.builder.operator(
                "MUL",
                [*inputs, self.bias(f"{node.name}/scale", node.scale)],
                f"{node.name}/scaled",
                self.shapes[node.name],
                no_activation(),
                options_type="MulOptions",
            )
        return self.add_up(node, [scaled, self.bias(f"{node.name}/shift", node.shift)], node.relu)

    def add(self, node: ir.Add, inputs: list[int]) -> int:
        """ADD of two feature maps."""
        return self.add_up(node, inputs, node.relu)

    def add_up(self, node: ir.Node, inputs: list[int], relu: bool) -> int:
        """ADD, the second input broadcast to the first."""
        return self.give(
            "ADD",
            inputs,
            node,
            self.activation(node, relu=relu),
            options_type="AddOptions",
        )

    def linear(self, node: ir.Linear, inputs: list[int]) -> int:
        """FULLY_CONNECTED."""
        return self.give(
            "FULLY_CONNECTED",
            [*inputs, *self.weights(node, node.weight, 0)],
            node,
            self.activation(node),
            options_type="FullyConnectedOptions",
        )

    def normalise(self, node: ir.Normalise, inputs: list[int]) -> int:
        """L2_NORMALIZATION."""
        return self.give(
            "L2_NORMALIZATION",
            inputs,
            node,
            no_activation(),
            options_type="L2NormOptions",
        )


INTEGER_VERSIONS = {
    "ADD": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "HARD_SWISH": 1,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MUL": 2,
    "PAD": 2,
    "RELU": 2,
    "RELU6": 2,
    "RESHAPE": 1,
    "SLICE": 2,
    "STRIDED_SLICE": 2,
}
"""The first version of each operator that computes int8."""

KINDS: dict[type[ir.Node], Callable[[_Writer, Any, list[int]], int]] = {
    ir.Conv: _Writer.conv,
    ir.Affine: _Writer.affine,
    ir.Add: _Writer.add,
    ir.Linear: _Writer.linear,
    ir.Normalise: _Writer.normalise,
    **MOVING,
}


def _nhwc(shape: ir.Shape) -> tuple[int, ...]:
    """(C, H, W) to (1, H, W, C), (C,) to (1, C)."""
    return (1, *shape[1:], shape[0])
