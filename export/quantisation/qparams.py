"""Which values are computed in integers, and with which scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from edgecmp.export.lowering import baseline_nodes as extra
from edgecmp.export.lowering import graph as ir
from edgecmp.export.lowering.baseline_nodes import clipped_at_once
from edgecmp.export.lowering.graph import Graph
from edgecmp.export.quantisation.observers import Range
from edgecmp.export.quantisation.weights import LIMIT
from edgecmp.export.targets.tflite.flatbuffer import Quantisation

__all__ = ["Plan", "make_plan"]

Plan: TypeAlias = Mapping[str, Quantisation]
"""The quantisation of each value that is computed in integers; the others are floats."""

LARGEST_RATIO = 100
"""Between the scales of what an operator reads and gives; XNNPACK refuses more than 128 or 256."""

SMALLEST_STEP = 1e-9

SHARING = (ir.Take, ir.Concat, ir.Pad, extra.MaxPool, extra.Shuffle)
"""Nodes that move integers about: what they read and what they give has one scale."""


def make_plan(graph: Graph, ranges: Mapping[str, Range], last: str) -> dict[str, Quantisation]:
    """Scales for the values up to `last`, which is the last one in integers.

    Left out are vectors but those that are averages or that feature maps are multiplied by: the
    few numbers of a squeeze-and-excitation are computed in floats.

    Args:
        graph: without batch norms.
        ranges: of each value, by name.
        last: after it the network computes in floats.
    """
    names = _integer_values(graph, last)
    ranges = dict(ranges)
    clipped = clipped_at_once(graph)
    for name, activation in clipped.items():  # what is clipped is never seen before it is
        ranges[name] = ranges[activation.name]
    group = {name: name for name in names}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for name, activation in clipped.items():
        if name in group:
            group[root(name)] = root(activation.name)
    for node in graph:
        if node.name in group and isinstance(node, SHARING):
            for name in node.inputs:
                group[root(name)] = root(node.name)
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for name in names:
        key = root(name)
        low[key] = min(low.get(key, 0.0), float(ranges[name].low.min()))
        high[key] = max(high.get(key, 0.0), float(ranges[name].high.max()))

    def step(name: str) -> float:
        return (high[root(name)] - low[root(name)]) / 255

    def widen(name: str, smallest: float) -> None:
        """A coarser scale for values that no image moved, or hardly any."""
        key = root(name)
        high[key] = max(high[key], low[key] + 255 * smallest)

    inside = [node for node in graph if node.name in group]
    for node in inside:
        if isinstance(node, ir.Conv):
            finest = step(node.inputs[0]) * float(node.weight.abs().max()) / LIMIT
            widen(node.name, max(finest / LARGEST_RATIO, SMALLEST_STEP))
        elif isinstance(node, ir.Add):
            widen(node.name, max(map(step, node.inputs)) / LARGEST_RATIO)
        elif isinstance(node, extra.Multiply):
            widen(node.name, step(node.inputs[0]) * step(node.inputs[1]) / LARGEST_RATIO)
        elif isinstance(node, extra.Activation) and node.inputs[0] in group:
            widen(node.name, step(node.inputs[0]) / LARGEST_RATIO)
    for node in reversed(inside):
        if isinstance(node, ir.Add):
            for name in node.inputs:
                widen(name, step(node.name) / LARGEST_RATIO)
    return {name: affine_scale(low[root(name)], high[root(name)]) for name in names}


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


def affine_scale(low: float, high: float) -> Quantisation:
    """The finest scale of 256 steps from `low` <= 0 to `high` >= 0 that holds zero exactly."""
    scale = np.float32(max(high - low, 255 * SMALLEST_STEP) / 255)
    zero_point = int(np.clip(np.round(-128 - low / scale), -128, 127))
    return Quantisation(scale=np.array([scale], np.float32), zero_point=zero_point)
