"""Lowering a network: trace it, then apply the rewrites in order; each can be left out."""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch import nn

from edgecmp.export.lowering.crop_kernels import crop_kernels
from edgecmp.export.lowering.fold_bn import fold_bn
from edgecmp.export.lowering.fold_scale import fold_scale
from edgecmp.export.lowering.fold_shuffle import fold_shuffle
from edgecmp.export.lowering.graph import Graph
from edgecmp.export.lowering.lowered import LoweredNet
from edgecmp.export.lowering.narrow_concat import narrow_concat
from edgecmp.export.lowering.pad_stride2 import pad_stride2
from edgecmp.export.lowering.split_depthwise import split_depthwise, split_for_integers
from edgecmp.export.lowering.trace_fx import trace_module
from edgecmp.export.lowering.trace_query import trace
from edgecmp.networks.form import Form
from edgecmp.networks.query import QueryNet
from edgecmp.preprocessing import Preprocessing

__all__ = ["REWRITES", "lower", "lower_graph"]

REWRITES: dict[str, Callable[[Graph], Graph]] = {
    "fold_bn": fold_bn,
    "fold_scale": fold_scale,
    "fold_shuffle": fold_shuffle,
    "narrow_concat": narrow_concat,
    "crop_kernels": crop_kernels,
    "split_depthwise": split_depthwise,
    "pad_stride2": pad_stride2,
}
"""Every rewrite by name, in the order in which they are applied."""

INTEGER_REWRITES = REWRITES | {"split_depthwise": split_for_integers}
"""The same for networks that are to be quantised to integers."""


def lower(
    network: nn.Module,
    *,
    input_size: int | None = None,
    pixels: Preprocessing | None = None,
    integers: bool = False,
    without: Collection[str] = (),
) -> LoweredNet:
    """An equivalent of `network` in evaluation mode, in the network's own floating-point type.

    All rewrites compute in float64, and the weights are rounded once, at the end.

    Args:
        network: a query network of any form; it is not changed.
        input_size: height and width of the images, in pixels; those of the network's form if None.
        pixels: the lowered network reads pixels in 0..255 and normalises them in this way; None: it
            reads normalised images, as `network` does.
        integers: the network is to be quantised to integers, where each addition is rounded.
        without: names of the `REWRITES` to leave out.
    """
    form: Form = network.architecture  # type: ignore[assignment]  # a module's attribute
    size = input_size or form.input_size
    if isinstance(network, QueryNet):
        graph = trace(network, size, pixels)
    else:
        graph = trace_module(network, size, pixels)
    graph = lower_graph(graph, integers=integers, without=without)
    return LoweredNet(graph.to(next(network.parameters()).dtype))


def lower_graph(graph: Graph, *, integers: bool = False, without: Collection[str] = ()) -> Graph:
    """An equivalent of a traced graph, still in float64.

    Args:
        graph: from `trace` or `trace_module`.
        integers: see `lower`.
        without: see `lower`.
    """
    for name, rewrite in (INTEGER_REWRITES if integers else REWRITES).items():
        if name not in without:
            graph = rewrite(graph)
    return graph
