"""Which values are computed in integers, and with which scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from edgecmp.export.lowering import baseline_nodes as extra
from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.baseline_nodes import fused_activations
from edgecmp.export.lowering.graph import Graph, Node
from edgecmp.export.quantisation.observers import Range
from edgecmp.export.quantisation.scheme import Quantisation
from edgecmp.export.quantisation.shared_scales import SMALLEST_STEP, SharedScales
from edgecmp.export.quantisation.weights import LIMIT

__all__ = ["Plan", "make_plan"]

Plan: TypeAlias = Mapping[str, Quantisation]
"""The quantisation of each value that is computed in integers; the others are floats."""

LARGEST_RATIO = 100
"""Between the scales of an operator's input and output; XNNPACK refuses more than 128 or 256."""

SAME_SCALE = (ir.Take, ir.Concat, ir.Pad, extra.MaxPool, extra.Shuffle)
"""Nodes that only move integers, so their inputs and their output have one scale."""


def make_plan(graph: Graph, ranges: Mapping[str, Range], last: str) -> dict[str, Quantisation]:
    """Scales for the values up to `last`, the last one in integers.

    Vectors stay floats, except averages and vectors that feature maps are multiplied by: the few
    values of a squeeze-and-excitation are computed in floats.

    Args:
        graph: without batch norms.
        ranges: of each value, by name.
        last: the network computes in floats after it.
    """
    fused = fused_activations(graph)
    # a fused activation is applied before the value is stored
    stored = {**ranges, **{name: ranges[node.name] for name, node in fused.items()}}
    scales = SharedScales(
        {
            name: (float(stored[name].low.min()), float(stored[name].high.max()))
            for name in _integer_values(graph, last)
        }
    )
    for name, activation in fused.items():
        if name in scales:
            scales.join(name, activation.name)
    inside = [node for node in graph if node.name in scales]
    for node in inside:
        if isinstance(node, SAME_SCALE):
            for name in node.inputs:
                scales.join(name, node.name)
    for node in inside:
        scales.widen(node.name, _least_step(node, scales))
    for node in reversed(inside):
        if isinstance(node, ir.Add):
            for name in node.inputs:
                scales.widen(name, scales.step(node.name) / LARGEST_RATIO)
    return scales.quantisations()


def _integer_values(graph: Graph, last: str) -> list[str]:
    """Names of the values that get a scale."""
    shapes = graph.shapes()
    gates = {node.inputs[1] for node in graph if isinstance(node, extra.Multiply)}
    names = [ir.IMAGE]
    for node in graph:
        if len(shapes[node.name]) == 3 or isinstance(node, ir.Mean) or node.name in gates:
            names.append(node.name)
        if node.name == last:
            break
    return names


def _least_step(node: Node, scales: SharedScales) -> float:
    """The finest step that a runtime accepts for a node's output, given those of its inputs.

    Outputs that hardly vary on the images would get a finer one.
    """
    if isinstance(node, ir.Conv):
        finest = scales.step(node.inputs[0]) * float(node.weight.abs().max()) / LIMIT
        return max(finest / LARGEST_RATIO, SMALLEST_STEP)
    if isinstance(node, ir.Add):
        return max(map(scales.step, node.inputs)) / LARGEST_RATIO
    if isinstance(node, extra.Multiply):
        first, second = map(scales.step, node.inputs)
        return first * second / LARGEST_RATIO
    if isinstance(node, extra.Activation) and node.inputs[0] in scales:
        return scales.step(node.inputs[0]) / LARGEST_RATIO
    return 0.0
