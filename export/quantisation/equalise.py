"""Cross-layer equalisation: channels that share an 8-bit scale are given like ranges, exactly.

Between a convolution and its readers a channel can be divided by any positive number, if the
readers' weights for it are multiplied by the same: ReLU, slices, concatenations, padding, sums,
maxima and means let it pass. In floats nothing changes. In integers a channel of small values no
longer has to live on the few steps that the largest channel of its scale leaves it (Nagel et al.
2019, after whom the step is named; here the scales follow the channels' ranges on real images,
through slices and concatenations).

Channels that are added to each other must be divided alike, wherever they came from: `_threads`
follows them. ReLU6, h-swish and h-sigmoid know the size of what they read, so it stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.export.lowering.baseline_nodes import Activation, Multiply, Shuffle
from edgecmp.export.lowering.graph import (
    IMAGE,
    Add,
    Affine,
    Concat,
    Conv,
    Graph,
    Linear,
    Node,
    Normalise,
    Take,
)
from edgecmp.export.quantisation.observers import Range

__all__ = ["equalise"]

STRENGTH = 0.8
"""0: channels stay as they are; 1: equal ranges, at the expense of the readers' weights."""

SMALLEST_SHARE = 1 / 256
"""Channels below one step of the largest one's scale are stretched no further."""

FIXED = 0
"""The thread of all channels that stay as they are."""

Threads = NDArray[np.int64]
"""The thread of each channel of a value, (C,): channels of one thread are divided alike."""


def equalise(
    graph: Graph, ranges: Mapping[str, Range], *, strength: float = STRENGTH
) -> tuple[Graph, dict[str, Range]]:
    """The graph with its channels divided by (their range / the largest)^strength, and its ranges.

    Args:
        graph: without batch norms on anything but the image.
        ranges: of each value on real images, by name.
        strength: see `STRENGTH`.
    """
    threads = _threads(graph)
    shares = torch.ones(1 + max(int(thread.max()) for thread in threads.values()))
    shares = shares.double()
    for node in graph:  # of a chain of sums the last one, which holds all its terms, decides
        if isinstance(node, Conv | Add):
            shares[torch.from_numpy(threads[node.name])] = _shares(ranges[node.name])
    shares[FIXED] = 1
    divisors = {name: shares[torch.from_numpy(t)] ** strength for name, t in threads.items()}
    nodes = [_rescaled(node, divisors[node.inputs[0]], divisors[node.name]) for node in graph]
    return graph.with_nodes(nodes), {
        name: Range(low=found.low / divisors[name], high=found.high / divisors[name])
        for name, found in ranges.items()
    }


def _threads(graph: Graph) -> dict[str, Threads]:
    """The thread of every channel of every value, by name."""
    same = [FIXED]

    def root(thread: int) -> int:
        while same[thread] != thread:
            same[thread] = same[same[thread]]
            thread = same[thread]
        return thread

    def join(first: Threads, second: Threads) -> None:
        for pair in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted(map(root, pair))
            same[high] = low  # so that `FIXED` stays the root of all that it is joined with

    def fix(threads: Threads) -> Threads:
        join(threads, np.full_like(threads, FIXED))
        return np.full_like(threads, FIXED)

    found: dict[str, Threads] = {IMAGE: np.full(graph.input_shape[0], FIXED, np.int64)}
    for node in graph:
        incoming = [found[name] for name in node.inputs]
        threads = incoming[0]
        if isinstance(node, Conv):
            threads = np.arange(len(same), len(same) + len(node.bias))
            same.extend(threads.tolist())
        elif isinstance(node, Linear):
            threads = np.full(len(node.bias), FIXED, np.int64)
        elif isinstance(node, Concat):
            threads = np.concatenate(incoming)
        elif isinstance(node, Take):
            threads = threads[node.start : node.stop : node.step]
        elif isinstance(node, Shuffle):
            threads = threads[node.order(len(threads))]
        elif isinstance(node, Add):
            join(*incoming)
        elif isinstance(node, Multiply):
            fix(incoming[1])
        elif isinstance(node, Normalise) or (isinstance(node, Activation) and node.kind != "relu"):
            threads = fix(threads)
        found[node.name] = threads
    roots = np.array([root(thread) for thread in range(len(same))])
    return {name: roots[threads] for name, threads in found.items()}


def _shares(values: Range) -> Tensor:
    """(C,) float64: each channel's reach over the largest one's."""
    reach = torch.maximum(values.high.abs(), values.low.abs()).double()
    return (reach / reach.max().clamp(min=1e-30)).clamp(min=SMALLEST_SHARE)


def _rescaled(node: Node, incoming: Tensor, outgoing: Tensor) -> Node:
    """A node that reads channels divided by `incoming` and gives them divided by `outgoing`."""
    if isinstance(node, Conv):
        into = incoming[:, None, None, None] if node.depthwise else incoming[:, None, None]
        weight = node.weight / outgoing[:, None, None, None] * into
        return replace(
            node,
            weight=weight.to(node.weight.dtype),
            bias=(node.bias / outgoing).to(node.bias.dtype),
        )
    if isinstance(node, Linear):
        return replace(node, weight=(node.weight * incoming).to(node.weight.dtype))
    if isinstance(node, Affine):
        return replace(node, shift=(node.shift / incoming).to(node.shift.dtype))
    return node
