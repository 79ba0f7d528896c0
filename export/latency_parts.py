"""Parts of lowered networks as files of their own, for measuring what each costs.

A part is cut out of a whole lowered network, so it holds exactly the operators that run there: the
convolutions of one layer, what is before the first layer, what is behind the last. The slices and
concatenations between layers belong to none; they are the same in every network of a tier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.export.lowering import lower
from edgecmp.export.lowering.graph import IMAGE, Concat, Conv, Graph, Node, Take
from edgecmp.export.quantisation.qparams import Plan
from edgecmp.export.quantisation.quantise import quantise
from edgecmp.export.targets.tflite.flatbuffer import Quantisation
from edgecmp.export.targets.tflite.graph import write_graph, write_part
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH, WIDTHS, tier
from edgecmp.preprocessing import Preprocessing

__all__ = [
    "HEAD",
    "OVERHEAD",
    "STEM",
    "entry_name",
    "lowering_fingerprint",
    "network_file",
    "parts",
]

STEM, HEAD, OVERHEAD = "stem", "head", "overhead"
IMAGES = 2
"""Random images that scales of integers are taken from; they decide no operator's kind or shape."""

BEHIND = ("head", "pool", "linear", "embedding")
"""Modules behind the last layer."""


def entry_name(stage: int, stride: int, block: int, width: int) -> str:
    """The name of a layer's part, such as "stage2-stride1-shuffle7-width4"."""
    return f"stage{stage}-stride{stride}-{BLOCKS[block]}-width{width}"


def parts(
    tier_name: str, *, input_size: int, embedding_dim: int, precision: str
) -> Iterator[tuple[str, bytes]]:
    """Every distinct part of a tier's networks as a .tflite file, by name.

    Weights are random: they decide no time.

    Args:
        tier_name: "330M", "230M" or "100M".
        input_size: side of the image, in pixels.
        embedding_dim: D of the embedding.
        precision: "fp32" or "int8".
    """
    layers = {(layer.stage, layer.stride): layer for layer in tier(tier_name).layers}
    yield OVERHEAD, write_part(_nothing(), outputs=["conv"], first=True)
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
                yield STEM, _cut(graph, plan, ("stem",))
                yield HEAD, _cut(graph, plan, BEHIND)
            for (stage, stride), layer in layers.items():
                inside = (f"blocks.{layer.index}.proj", f"blocks.{layer.index}.main")
                yield entry_name(stage, stride, block, width), _cut(graph, plan, inside)


def network_file(architecture: Architecture, *, precision: str, seed: int = 0) -> bytes:
    """A whole network of random weights as a .tflite file, lowered as an export is.

    Args:
        architecture: what is built.
        precision: "fp32" or "int8".
        seed: of the weights.
    """
    graph, plan = _lowered(architecture, precision, seed=seed)
    return write_graph(graph, plan=plan, metadata={})


@cache
def lowering_fingerprint() -> str:
    """SHA-256 of what networks are lowered to and written as: it changes when their speed may."""
    digest = hashlib.sha256()
    for block in range(len(BLOCKS)):
        architecture = Architecture(
            tier="100M", blocks=(block,) * DEPTH, widths=(4,) * DEPTH, input_size=64
        )
        network = architecture.build()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        for integers in (False, True):
            graph = lower(network, integers=integers).graph
            digest.update(write_graph(graph, metadata={}))
    return digest.hexdigest()


def _lowered(architecture: Architecture, precision: str, *, seed: int) -> tuple[Graph, Plan | None]:
    """The lowered graph of a network of random weights, and its integers."""
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


def _cut(graph: Graph, plan: Plan | None, modules: tuple[str, ...]) -> bytes:
    """The file of the nodes that came from these modules."""
    nodes = [node for node in graph if _belongs(node, modules)]
    names = {node.name for node in nodes}
    (source,) = {name for node in nodes for name in node.inputs if name not in names}
    read = {name for node in graph if node.name not in names for name in node.inputs}
    last = graph.nodes[-1].name
    outputs = [node.name for node in nodes if node.name in read or node.name == last]
    inside: dict[str, Quantisation] | None = None
    if plan is not None:
        inside = {name: plan[name] for name in names if name in plan}
        if source in plan:
            inside[IMAGE] = plan[source]
    part = Graph(
        nodes=tuple(
            replace(node, inputs=tuple(IMAGE if name == source else name for name in node.inputs))
            for node in nodes
        ),
        input_shape=graph.shapes()[source],
    )
    return write_part(part, plan=inside, outputs=outputs, first=source == IMAGE)


def _belongs(node: Node, modules: tuple[str, ...]) -> bool:
    """Whether a node came from one of these modules; what gathers channels came from none."""
    if isinstance(node, (Take, Concat)):
        return False
    return any(
        node.name == module or node.name.startswith((f"{module}.", f"{module}/"))
        for module in modules
    )


def _nothing() -> Graph:
    """A network of one multiplication."""
    weight, bias = torch.ones(1, 1, 1, 1), torch.zeros(1)
    conv = Conv(name="conv", inputs=(IMAGE,), weight=weight, bias=bias)
    return Graph(nodes=(conv,), input_shape=(1, 1, 1))
