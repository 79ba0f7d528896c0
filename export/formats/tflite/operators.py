"""The TFLite operators of each kind of node: one function per kind, which returns the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecmp.export.formats.tflite.graph_builder import FUSIBLE, GraphBuilder, no_activation
from edgecmp.export.lowering import baseline_nodes as extra
from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.pad_stride2 import is_same

__all__ = ["OPERATORS"]


def conv(writer: GraphBuilder, node: ir.Conv, inputs: list[int]) -> int:
    """CONV_2D or DEPTHWISE_CONV_2D with a fused ReLU."""
    same = any(node.padding)
    if same and not is_same(node, writer.graph_shapes[node.inputs[0]]):
        raise ValueError(f"TFLite cannot pad {node.name}: lower with pad_stride2.")
    kind, options, axis = "CONV_2D", "Conv2DOptions", 0
    weight = node.weight.permute(0, 2, 3, 1)  # (out, kh, kw, in)
    extra: dict[str, int] = {}
    if node.depthwise:
        kind, options, axis = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", 3
        weight = node.weight.permute(1, 2, 3, 0)  # (1, kh, kw, out)
        extra = {"depthMultiplier": 1}
    return writer.emit(
        kind,
        [*inputs, *writer.weights(node, weight, axis)],
        node,
        {
            "padding": schema.Padding.SAME if same else schema.Padding.VALID,
            "strideH": node.stride,
            "strideW": node.stride,
            "dilationHFactor": node.dilation[0],
            "dilationWFactor": node.dilation[1],
            **writer.activation(node, relu=node.relu),
            **extra,
        },
        options_type=options,
        version=2 if node.depthwise and node.dilation != (1, 1) else 1,
    )


def affine(writer: GraphBuilder, node: ir.Affine, inputs: list[int]) -> int:
    """MUL and ADD with one value per channel, ADD alone if the scale is one."""
    scaled = inputs[0]
    if not bool((node.scale == 1).all()):
        scaled = writer.builder.operator(
            "MUL",
            [*inputs, writer.bias(f"{node.name}/scale", node.scale)],
            f"{node.name}/scaled",
            writer.shapes[node.name],
            no_activation(),
            options_type="MulOptions",
        )
    return add_up(writer, node, [scaled, writer.bias(f"{node.name}/shift", node.shift)], node.relu)


def add(writer: GraphBuilder, node: ir.Add, inputs: list[int]) -> int:
    """ADD of two feature maps."""
    return add_up(writer, node, inputs, node.relu)


def add_up(writer: GraphBuilder, node: ir.Node, inputs: list[int], relu: bool) -> int:
    """ADD, with the second input broadcast to the first."""
    return writer.emit(
        "ADD",
        inputs,
        node,
        writer.activation(node, relu=relu),
        options_type="AddOptions",
    )


def linear(writer: GraphBuilder, node: ir.Linear, inputs: list[int]) -> int:
    """FULLY_CONNECTED."""
    return writer.emit(
        "FULLY_CONNECTED",
        [*inputs, *writer.weights(node, node.weight, 0)],
        node,
        writer.activation(node),
        options_type="FullyConnectedOptions",
    )


def normalise(writer: GraphBuilder, node: ir.Normalise, inputs: list[int]) -> int:
    """L2_NORMALIZATION."""
    return writer.emit(
        "L2_NORMALIZATION",
        inputs,
        node,
        no_activation(),
        options_type="L2NormOptions",
    )


def take(writer: GraphBuilder, node: ir.Take, inputs: list[int]) -> int:
    """SLICE of contiguous channels, or STRIDED_SLICE."""
    batch, height, width, channels = writer.shapes[node.name]
    if node.step == 1:
        limits = [
            writer.integers(f"{node.name}/begin", [0, 0, 0, node.start]),
            writer.integers(f"{node.name}/size", [batch, height, width, channels]),
        ]
        return writer.emit("SLICE", [*inputs, *limits], node, options_type="SliceOptions")
    limits = [
        writer.integers(f"{node.name}/begin", [0, 0, 0, node.start]),
        writer.integers(f"{node.name}/end", [batch, height, width, node.stop]),
        writer.integers(f"{node.name}/strides", [1, 1, 1, node.step]),
    ]
    return writer.emit(
        "STRIDED_SLICE", [*inputs, *limits], node, options_type="StridedSliceOptions"
    )


def concat(writer: GraphBuilder, node: ir.Concat, inputs: list[int]) -> int:
    """CONCATENATION along the channels."""
    return writer.emit(
        "CONCATENATION",
        inputs,
        node,
        {"axis": 3, **no_activation()},
        options_type="ConcatenationOptions",
    )


def pad(writer: GraphBuilder, node: ir.Pad, inputs: list[int]) -> int:
    """PAD with zeros."""
    top, bottom, left, right = node.amounts
    sizes = writer.integers(f"{node.name}/sizes", [[0, 0], [top, bottom], [left, right], [0, 0]])
    return writer.emit("PAD", [*inputs, sizes], node, options_type="PadOptions")


def mean(writer: GraphBuilder, node: ir.Mean, inputs: list[int]) -> int:
    """MEAN over height and width."""
    axes = writer.integers(f"{node.name}/axes", [1, 2])
    return writer.emit(
        "MEAN", [*inputs, axes], node, {"keepDims": False}, options_type="ReducerOptions"
    )


def max_pool(writer: GraphBuilder, node: extra.MaxPool, inputs: list[int]) -> int:
    """MAX_POOL_2D."""
    shape = writer.graph_shapes[node.inputs[0]]
    padded = any(node.amounts(shape))
    if padded and not is_same(node, shape):
        raise ValueError(f"TFLite cannot pad {node.name}: lower with pad_stride2.")
    return writer.emit(
        "MAX_POOL_2D",
        inputs,
        node,
        {
            "padding": schema.Padding.SAME if padded else schema.Padding.VALID,
            "filterHeight": node.kernel,
            "filterWidth": node.kernel,
            "strideH": node.stride,
            "strideW": node.stride,
            **no_activation(),
        },
        options_type="Pool2DOptions",
    )


def multiply(writer: GraphBuilder, node: extra.Multiply, inputs: list[int]) -> int:
    """MUL; (1, C) is broadcast over the pixels, since the channels come last."""
    return writer.emit("MUL", inputs, node, no_activation(), options_type="MulOptions")


def shuffle(writer: GraphBuilder, node: extra.Shuffle, inputs: list[int]) -> int:
    """RESHAPE to (pixels, groups, channels of a group), TRANSPOSE, RESHAPE."""
    *_, height, width, channels = writer.shapes[node.name]
    size = channels // node.groups
    apart, turned = (height * width, node.groups, size), (height * width, size, node.groups)
    kind = writer.kind_of(node)
    value = writer.builder.operator(
        "RESHAPE",
        [*inputs, writer.integers(f"{node.name}/groups", apart)],
        f"{node.name}/apart",
        apart,
        {"newShape": list(apart)},
        options_type="ReshapeOptions",
        **kind,
    )
    value = writer.builder.operator(
        "TRANSPOSE",
        [value, writer.integers(f"{node.name}/axes", [0, 2, 1])],
        f"{node.name}/turned",
        turned,
        options_type="TransposeOptions",
        version=2 if writer.integer(node) else 1,
        **kind,
    )
    whole = writer.shapes[node.name]
    return writer.emit(
        "RESHAPE",
        [value, writer.integers(f"{node.name}/whole", whole)],
        node,
        {"newShape": list(whole)},
        options_type="ReshapeOptions",
    )


def activation(writer: GraphBuilder, node: extra.Activation, inputs: list[int]) -> int:
    """RELU, RELU6, HARD_SWISH, or ADD and MUL; nothing if it is fused."""
    if node in writer.fused.values():
        return inputs[0]
    if node.kind != "hsigmoid":
        kind, table = ACTIVATIONS[node.kind]
        return writer.emit(kind, inputs, node, options_type=table)
    three = writer.builder.constant(f"{node.name}/three", np.full(1, 3, np.float32))
    sixth = writer.builder.constant(f"{node.name}/sixth", np.full(1, 1 / 6, np.float32))
    clipped = writer.builder.operator(
        "ADD",
        [*inputs, three],
        f"{node.name}/clipped",
        writer.shapes[node.name],
        {"fusedActivationFunction": FUSIBLE["relu6"]},
        options_type="AddOptions",
    )
    return writer.emit("MUL", [clipped, sixth], node, no_activation(), options_type="MulOptions")


ACTIVATIONS: dict[extra.Kind, tuple[str, str | None]] = {
    "relu": ("RELU", None),
    "relu6": ("RELU6", None),
    "hswish": ("HARD_SWISH", "HardSwishOptions"),
}
"""Operator and options table of each activation that is a single operator."""

OPERATORS: dict[type[ir.Node], Callable[[GraphBuilder, Any, list[int]], int]] = {
    ir.Conv: conv,
    ir.Affine: affine,
    ir.Add: add,
    ir.Linear: linear,
    ir.Normalise: normalise,
    ir.Take: take,
    ir.Concat: concat,
    ir.Pad: pad,
    ir.Mean: mean,
    extra.MaxPool: max_pool,
    extra.Multiply: multiply,
    extra.Shuffle: shuffle,
    extra.Activation: activation,
}
"""The function of each kind of node."""
