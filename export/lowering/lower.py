"""The rewrites in their order, each with a switch."""

from __future__ import annotations

from collections.abc import Callable

from edgecmp.export.lowering.fold_bn import fold_bn as _fold_bn
from edgecmp.export.lowering.fold_shuffle import fold_shuffle as _fold_shuffle
from edgecmp.export.lowering.graph import Graph
from edgecmp.export.lowering.lowered import LoweredNet
from edgecmp.export.lowering.narrow_concat import narrow_concat as _narrow_concat
from edgecmp.export.lowering.pad_stride2 import pad_stride2 as _pad_stride2
from edgecmp.export.lowering.split_depthwise import split_depthwise as _split_depthwise
from edgecmp.export.lowering.trace import trace
from edgecmp.networks.query import QueryNet

__all__ = ["REWRITES", "lower"]

REWRITES: dict[str, Callable[[Graph], Graph]] = {
    "fold_bn": _fold_bn,
    "fold_shuffle": _fold_shuffle,
    "narrow_concat": _narrow_concat,
    "split_depthwise": _split_depthwise,
    "pad_stride2": _pad_stride2,
}
"""Every rewrite by the name of its switch, in the order in which they are applied."""


def lower(
    network: QueryNet,
    *,
    input_size: int | None = None,
    fold_bn: bool = True,
    fold_shuffle: bool = True,
    narrow_concat: bool = True,
    split_depthwise: bool = True,
    pad_stride2: bool = True,
) -> LoweredNet:
    """An equivalent of `network` in evaluation mode, in the network's own floating-point type.

    All rewrites are done in float64 and rounded once, at the end.

    Args:
        network: is not changed.
        input_size: height and width of the images; the architecture's own if None.
        fold_bn: batch norms disappear into convolutions.
        fold_shuffle: channel shuffles disappear into the order of the weights.
        narrow_concat: concatenations of many pieces become several of few.
        split_depthwise: 7x7 depthwise convolutions become sums of smaller ones.
        pad_stride2: padding that TFLite cannot express becomes a node of its own.
    """
    graph = trace(network, input_size or network.architecture.input_size)
    switches = {
        "fold_bn": fold_bn,
        "fold_shuffle": fold_shuffle,
        "narrow_concat": narrow_concat,
        "split_depthwise": split_depthwise,
        "pad_stride2": pad_stride2,
    }
    for name, rewrite in REWRITES.items():
        if switches[name]:
            graph = rewrite(graph)
    return LoweredNet(graph.to(network.embedding.linear.weight.dtype))
