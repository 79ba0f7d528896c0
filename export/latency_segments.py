"""Segments of lowered networks as files of their own, for measuring the latency of each.

A segment is cut out of a whole lowered network, so it contains exactly the operators that run
there: the convolutions of one layer, the stem before the first layer, or the head after the last.
The slices and concatenations between layers belong to no segment; they are the same in every
network of a tier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.export.formats.tflite.graph import write_graph, write_segment
from edgecmp.export.lowering import lower
from edgecmp.export.lowering.graph import IMAGE, Concat, Conv, Graph, Node, Take
from edgecmp.export.quantisation.qparams import Plan
from edgecmp.export.quantisation.quantise import quantise
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS, tier
from edgecmp.preprocessing import Preprocessing

__all__ = ["HEAD", "OVERHEAD", "STEM", "entry_name", "latency_segments", "network_file"]

STEM, HEAD, OVERHEAD = "stem", "head", "overhead"
IMAGES = 2
"""Random images for the scales of integers, which affect the kind and shape of no operator."""

HEAD_MODULES = ("head", "pool", "linear", "embedding")
"""Modules after the last layer."""


def entry_name(stage: int, stride: int, block: int, width: int) -> str:
    """The name of a layer's segment, such as "stage2-stride1-shuffle7-width4"."""
    return f"stage{stage}-stride{stride}-{BLOCKS[block]}-width{width}"


def latency_segments(
    tier_name: str, *, input_size: int, embedding_dim: int, precision: str
) -> Iterator[tuple[str, bytes]]:
    """Every distinct segment of a tier's networks as a .tflite file, by name.

    Weights are random, since they do not affect the latency.

    Args:
        tier_name: "330M", "230M" or "100M".
        input_size: side of the image, in pixels.
        embedding_dim: D of the embedding.
        precision: "fp32" or "int8".
    """
    yield OVERHEAD, write_segment(_single_multiplication(), outputs=["conv"], first=True)
    for block in range(len(BLOCKS)):
        for width in range(len(WIDTHS)):
            architecture = Architecture(
                tier=tier_name,
                blocks=(block,) * DEPTH,
                widths=(width,) * DEPTH,
                embedding_dim=embedding_dim,
                input_size=input_size,
            )
            graph, plan = _lowered(architecture, precision, seed=0)
            if block == width == 0:
                yield STEM, _segment_file(graph, plan, ("stem",))
                yield HEAD, _segment_file(graph, plan, HEAD_MODULES)
            for (stage, stride), modules in _layer_modules(tier_name).items():
                yield entry_name(stage, stride, block, width), _segment_file(graph, plan, modules)


def network_file(architecture: Architecture, *, precision: str, seed: int = 0) -> bytes:
    """A whole network with random weights as a .tflite file, lowered like an exported one.

    Args:
        architecture: of the network.
        precision: "fp32" or "int8".
        seed: of the weights.
    """
    graph, plan = _lowered(architecture, precision, seed=seed)
    return write_graph(graph, plan=plan, metadata={})


def _layer_modules(tier_name: str) -> dict[tuple[int, int], tuple[str, str]]:
    """The modules of one layer for each (stage, stride): other such layers cost the same."""
    return {
        (layer.stage, layer.stride): (f"blocks.{layer.index}.proj", f"blocks.{layer.index}.main")
        for layer in tier(tier_name).layers
    }


def _lowered(architecture: Architecture, precision: str, *, seed: int) -> tuple[Graph, Plan | None]:
    """The lowered graph of a network with random weights, and its scales if it is int8."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = architecture.build().eval()
    if precision == "fp32":
        return lower(network).graph, None
    size = architecture.input_size
    images: NDArray[np.uint8] = np.random.default_rng(seed).integers(
        0, 256, (IMAGES, size, size, 3), np.uint8
    )
    return quantise(lower(network, integers=True), images, Preprocessing(input_size=size))


def _segment_file(graph: Graph, plan: Plan | None, modules: tuple[str, ...]) -> bytes:
    """The file of the nodes that came from some modules.

    The one value that they read from other nodes becomes the segment's `IMAGE`.
    """
    nodes = [node for node in graph if _came_from(node, modules)]
    names = {node.name for node in nodes}
    (source,) = {name for node in nodes for name in node.inputs if name not in names}
    renamed = {source: IMAGE}
    segment = Graph(
        nodes=tuple(
            replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
            for node in nodes
        ),
        input_shape=graph.shapes()[source],
    )
    if plan is not None:
        plan = {renamed.get(name, name): plan[name] for name in (*names, source) if name in plan}
    outputs = _outputs(graph, nodes)
    return write_segment(segment, plan=plan, outputs=outputs, first=source == IMAGE)


def _outputs(graph: Graph, nodes: Sequence[Node]) -> list[str]:
    """Names of the values of these nodes that other nodes read, or that are the graph's output."""
    names = {node.name for node in nodes}
    read = {name for node in graph if node.name not in names for name in node.inputs}
    read.add(graph.nodes[-1].name)
    return [node.name for node in nodes if node.name in read]


def _came_from(node: Node, modules: tuple[str, ...]) -> bool:
    """Whether a node came from one of these modules; slices and concatenations came from none."""
    if isinstance(node, Take | Concat):
        return False
    return any(
        node.name == module or node.name.startswith((f"{module}.", f"{module}/"))
        for module in modules
    )


def _single_multiplication() -> Graph:
    """A network of one multiplication, whose latency is the overhead of a call."""
    weight, bias = torch.ones(1, 1, 1, 1), torch.zeros(1)
    conv = Conv(name="conv", inputs=(IMAGE,), weight=weight, bias=bias)
    return Graph(nodes=(conv,), input_shape=(1, 1, 1))
