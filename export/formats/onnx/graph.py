"""From the nodes of a lowered network to ONNX operators, one function per kind of node.

Every value is named after its node, so that the layers can be found in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from edgecmp.export.lowering import baseline_nodes as extra
from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.graph import IMAGE, Graph, Shape

__all__ = ["EMBEDDING", "write_graph"]

EMBEDDING = "embedding"
"""The name of the output."""

NORM_AT_LEAST = 1e-12
"""The least norm that a vector is divided by, as in torch."""

OPSET = 18


def write_graph(graph: Graph) -> onnx.ModelProto:
    """The model of `graph` for batches of any size.

    Its input is float32 (N, 3, S, S), or uint8 (N, S, S, 3) if the graph reads pixels.
    """
    return _Writer(graph).write()


class _Writer:
    """Walks the graph once, appending operators and constants."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes = graph.shapes()
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.names = {node.name: node.name for node in graph}
        self.names |= {graph.nodes[-1].name: EMBEDDING, IMAGE: IMAGE}

    def write(self) -> onnx.ModelProto:
        image = self.image()
        for node in self.graph:
            KINDS[type(node)](self, node, [self.names[name] for name in node.inputs])
        [dim] = self.shapes[self.graph.nodes[-1].name]
        embedding = helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", dim])
        operators = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            helper.make_graph(self.nodes, "query", [image], [embedding], self.constants),
            producer_name="edgecmp",
            # the lowest, 8: older runtimes refuse a higher one, whatever is in the file
            ir_version=helper.find_min_ir_version_for(operators),
            opset_imports=operators,
        )

    def image(self) -> onnx.ValueInfoProto:
        """The input: normalised floats, or pixels, which become floats in planes."""
        channels, height, width = self.graph.input_shape
        if not self.graph.reads_pixels:
            sizes: list[str | int] = ["batch", channels, height, width]
            return helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, sizes)
        planes = self.append("Transpose", [IMAGE], f"{IMAGE}/planes", perm=[0, 3, 1, 2])
        self.names[IMAGE] = self.append(
            "Cast", [planes], f"{IMAGE}/floats", to=int(TensorProto.FLOAT)
        )
        sizes = ["batch", height, width, channels]
        return helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, sizes)

    def append(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """One operator; returns `output`, the name of its value, which is its own name too."""
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def emit(
        self,
        kind: str,
        inputs: Sequence[str],
        node: ir.Node,
        *,
        relu: bool = False,
        **attributes: Any,
    ) -> None:
        """Appends the operator that computes a node's value, and its ReLU."""
        value = self.names[node.name]
        if relu:
            before = self.append(kind, inputs, f"{node.name}/before", **attributes)
            self.append("Relu", [before], value)
        else:
            self.append(kind, inputs, value, **attributes)

    def constant(self, name: str, values: Tensor) -> str:
        """A constant of weights; returns its name."""
        self.constants.append(numpy_helper.from_array(values.contiguous().numpy(), name))
        return name

    def integers(self, name: str, values: Sequence[int]) -> str:
        """A constant of sizes or indices; returns its name."""
        self.constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def per_channel(self, name: str, values: Tensor, shape: Shape) -> str:
        """A constant (C,) that is broadcast over the pixels of a map of `shape`."""
        return self.constant(name, values[(..., *[None] * (len(shape) - 1))])

    def conv(self, node: ir.Conv, inputs: list[str]) -> None:
        """Conv and its Relu, which runtimes fuse."""
        weight = self.constant(f"{node.name}/weight", node.weight)
        bias = self.constant(f"{node.name}/bias", node.bias)
        self.emit(
            "Conv",
            [*inputs, weight, bias],
            node,
            relu=node.relu,
            kernel_shape=node.weight.shape[2:],
            strides=[node.stride] * 2,
            pads=[*node.padding, *node.padding],
            dilations=node.dilation,
            group=node.groups,
        )

    def affine(self, node: ir.Affine, inputs: list[str]) -> None:
        """Mul and Add with one value per channel, Add alone if the scale is one."""
        shape = self.shapes[node.name]
        scaled = inputs[0]
        if not bool((node.scale == 1).all()):
            scale = self.per_channel(f"{node.name}/scale", node.scale, shape)
            scaled = self.append("Mul", [*inputs, scale], f"{node.name}/scaled")
        shift = self.per_channel(f"{node.name}/shift", node.shift, shape)
        self.emit("Add", [scaled, shift], node, relu=node.relu)

    def take(self, node: ir.Take, inputs: list[str]) -> None:
        """Slice along the channels."""
        limits = {"start": node.start, "stop": node.stop, "axis": 1, "step": node.step}
        names = [self.integers(f"{node.name}/{name}", [at]) for name, at in limits.items()]
        self.emit("Slice", [*inputs, *names], node)

    def concat(self, node: ir.Concat, inputs: list[str]) -> None:
        """Concat along the channels."""
        self.emit("Concat", inputs, node, axis=1)

    def add(self, node: ir.Add, inputs: list[str]) -> None:
        """Add of two feature maps."""
        self.emit("Add", inputs, node, relu=node.relu)

    def pad(self, node: ir.Pad, inputs: list[str]) -> None:
        """Pad with zeros."""
        top, bottom, left, right = node.amounts
        pads = self.integers(f"{node.name}/pads", [0, 0, top, left, 0, 0, bottom, right])
        self.emit("Pad", [*inputs, pads], node)

    def mean(self, node: ir.Mean, inputs: list[str]) -> None:
        """ReduceMean over height and width."""
        axes = self.integers(f"{node.name}/axes", [2, 3])
        self.emit("ReduceMean", [*inputs, axes], node, keepdims=0)

    def linear(self, node: ir.Linear, inputs: list[str]) -> None:
        """Gemm."""
        weight = self.constant(f"{node.name}/weight", node.weight)
        bias = self.constant(f"{node.name}/bias", node.bias)
        self.emit("Gemm", [*inputs, weight, bias], node, transB=1)

    def normalise(self, node: ir.Normalise, inputs: list[str]) -> None:
        """Div by the norm, which Max keeps above zero."""
        axes = self.integers(f"{node.name}/axes", [1])
        norm = self.append("ReduceL2", [*inputs, axes], f"{node.name}/norm", keepdims=1)
        least = self.constant(f"{node.name}/least", _scalar(NORM_AT_LEAST))
        above = self.append("Max", [norm, least], f"{node.name}/above")
        self.emit("Div", [*inputs, above], node)

    def max_pool(self, node: extra.MaxPool, inputs: list[str]) -> None:
        """MaxPool."""
        self.emit(
            "MaxPool",
            inputs,
            node,
            kernel_shape=[node.kernel] * 2,
            strides=[node.stride] * 2,
            pads=[node.padding] * 4,
            ceil_mode=int(node.ceil_mode),
        )

    def multiply(self, node: extra.Multiply, inputs: list[str]) -> None:
        """Mul with one value per image and channel."""
        features, vector = inputs
        axes = self.integers(f"{node.name}/axes", [2, 3])
        apart = self.append("Unsqueeze", [vector, axes], f"{node.name}/apart")
        self.emit("Mul", [features, apart], node)

    def shuffle(self, node: extra.Shuffle, inputs: list[str]) -> None:
        """Reshape to (N, groups, channels of a group, pixels), Transpose, Reshape."""
        channels, height, width = self.shapes[node.name]
        groups = [-1, node.groups, channels // node.groups, height * width]
        sizes = self.integers(f"{node.name}/groups", groups)
        whole = self.integers(f"{node.name}/whole", [-1, channels, height, width])
        apart = self.append("Reshape", [*inputs, sizes], f"{node.name}/apart")
        turned = self.append("Transpose", [apart], f"{node.name}/turned", perm=[0, 2, 1, 3])
        self.emit("Reshape", [turned, whole], node)

    def activation(self, node: extra.Activation, inputs: list[str]) -> None:
        """Relu, Clip, HardSwish or HardSigmoid."""
        if node.kind == "relu6":
            limits = [
                self.constant(f"{node.name}/{name}", _scalar(value))
                for name, value in (("least", 0.0), ("most", 6.0))
            ]
            self.emit("Clip", [*inputs, *limits], node)
        elif node.kind == "hsigmoid":
            self.emit("HardSigmoid", inputs, node, alpha=1 / 6, beta=0.5)
        else:
            self.emit({"relu": "Relu", "hswish": "HardSwish"}[node.kind], inputs, node)


def _scalar(value: float) -> Tensor:
    """A float32 constant of no dimensions."""
    return torch.tensor(value)


KINDS: dict[type[ir.Node], Callable[[_Writer, Any, list[str]], None]] = {
    ir.Conv: _Writer.conv,
    ir.Affine: _Writer.affine,
    ir.Take: _Writer.take,
    ir.Concat: _Writer.concat,
    ir.Add: _Writer.add,
    ir.Pad: _Writer.pad,
    ir.Mean: _Writer.mean,
    ir.Linear: _Writer.linear,
    ir.Normalise: _Writer.normalise,
    extra.MaxPool: _Writer.max_pool,
    extra.Multiply: _Writer.multiply,
    extra.Shuffle: _Writer.shuffle,
    extra.Activation: _Writer.activation,
}
"""The function of each kind of node."""
