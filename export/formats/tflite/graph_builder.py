"""A lowered network on its way into a TFLite file: the tensor of each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from edgecmp.export.formats.tflite.flatbuffer import TFLiteBuilder
from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.baseline_nodes import Activation, Kind, fused_activations
from edgecmp.export.lowering.graph import IMAGE, Graph
from edgecmp.export.quantisation.fp16 import to_float16
from edgecmp.export.quantisation.qparams import Plan
from edgecmp.export.quantisation.scheme import Quantisation
from edgecmp.export.quantisation.weights import SMALL, quantise_layer, quantise_weight

__all__ = ["FUSIBLE", "GraphBuilder", "no_activation"]

Array = np.ndarray[Any, Any]

FUSIBLE: dict[Kind, int] = {
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
"""Activations that can be fused into the operator before them."""


def no_activation() -> dict[str, Any]:
    """The option of an operator that could have a fused activation, but has none."""
    return {"fusedActivationFunction": schema.ActivationFunctionType.NONE}


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


class GraphBuilder:
    """The tensors of a graph's values; the functions in `operators` append to it.

    Args:
        graph: the lowered network.
        store: how the weights of float operators are stored: "fp32", "fp16" or "int8".
        plan: the values that are computed in integers, and their scales; None: no value is.
        inside: the graph is a segment that does not start at the network's input.

    Attributes:
        fused: activations that are fused into the operator before them, by that node's name.
        graph_shapes: (C, H, W) of each value.
        shapes: (1, H, W, C) of each value.
        builder: the file.
        values: the tensor of each value, in the type that the plan requires.
        converted: the tensor of a value in the other type, where one was needed.
    """

    def __init__(
        self, graph: Graph, *, store: str, plan: Plan | None, inside: bool = False
    ) -> None:
        self.graph = graph
        self.inside = inside
        self.store = store
        self.plan = plan or {}
        self.fused = fused_activations(graph)
        self.graph_shapes = graph.shapes()
        self.shapes = {name: _nhwc(shape) for name, shape in self.graph_shapes.items()}
        self.builder = TFLiteBuilder()
        self.values: dict[str, int] = {}
        self.converted: dict[str, int] = {}

    def image(self) -> int:
        """Adds the input: normalised floats, or pixels, which are converted; returns its index."""
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
        """Whether a node is computed in integers; h-sigmoid, on few values, never is."""
        if isinstance(node, Activation) and node.kind == "hsigmoid":
            return False
        return node.name in self.plan

    def kind_of(self, node: ir.Node) -> dict[str, Any]:
        """Type and quantisation of the tensors of a node's value."""
        if not self.integer(node):
            return {}
        return {"dtype": np.int8, "quantisation": self.plan[node.name]}

    def read(self, name: str, *, integer: bool) -> int:
        """The tensor of a value in integers or floats; a value is converted at most once."""
        if integer == (name in self.plan):
            return self.values[name]
        if name not in self.converted:
            self.converted[name] = self.convert(name, self.values[name], integer=integer)
        return self.converted[name]

    def convert(self, name: str, tensor: int, *, integer: bool) -> int:
        """Appends QUANTIZE or DEQUANTIZE; returns the converted tensor."""
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

    def emit(
        self,
        kind: str,
        inputs: Sequence[int],
        node: ir.Node,
        options: Mapping[str, Any] | None = None,
        *,
        options_type: str | None,
        version: int = 1,
    ) -> int:
        """Appends the operator that computes a node's value, in integers if the plan contains it.

        The value of a node with a fused activation has the activation's name.
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
        """Adds a weight of a float operator; runtimes dequantise it when they load the file.

        Args:
            name: of the tensor.
            values: the weight.
            axis: of the output channels.
        """
        array: Array = values.contiguous().numpy()
        if self.store == "fp32":
            return self.builder.constant(name, array)
        if self.store == "fp16" or array.size < SMALL:
            stored = self.builder.constant(f"{name}/fp16", to_float16(name, array))
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
        """Adds a constant that stays float32: a bias is small, and float16 would change it."""
        return self.builder.constant(name, values.numpy())

    def weights(self, node: ir.Conv | ir.Linear, values: Tensor, axis: int) -> list[int]:
        """Adds weight and bias of a node: floats, or int8 per channel and int32."""
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
        """Adds a constant of sizes or indices."""
        return self.builder.constant(name, np.array(values, np.int32))

    def activation(self, node: ir.Node, *, relu: bool = False) -> dict[str, int]:
        """The option of a node's operator that names its fused activation."""
        if node.name in self.fused:
            return {"fusedActivationFunction": FUSIBLE[self.fused[node.name].kind]}
        return {"fusedActivationFunction": FUSIBLE["relu"]} if relu else no_activation()


def _nhwc(shape: ir.Shape) -> tuple[int, ...]:
    """(C, H, W) to (1, H, W, C), (C,) to (1, C)."""
    return (1, *shape[1:], shape[0])
