"""Which layers must stay in float32 when a network is computed in float16.

Two things go wrong in half precision, and both show on real images only: a value leaves the range
of float16 (above 65504, or so small that its digits are lost), or roundings add up in the
embedding. The first is looked for in a float32 run over all images; the second by simulating
float16 and giving the layers that cost most their float32 back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.export.lowering import Graph, LoweredNet
from edgecmp.export.lowering.graph import Concat, Mean, Node, Normalise, Pad, Take
from edgecmp.export.quantisation.fp16_simulation import HalfSimulation, rounded
from edgecmp.preprocessing import Preprocessing

__all__ = ["LIMIT", "TARGET", "HalfSafety", "check_half"]

LIMIT = 65504 / 4
"""The largest value that is let into float16: images that were not looked at may reach further."""

SMALLEST = 2.0**-14
"""Below it float16 loses digits."""

LOSS = 2.0**-9
"""Relative error of a rounded tensor that shows lost digits: it is below 2**-11 where none are."""

TARGET = 0.9999
"""Cosine to its float32 embedding that every image must reach, or layers are kept for it."""

GAIN = 0.1
"""A layer is kept for precision if it gives back this share of what the worst image lacks to 1."""

TRIALS = 16
"""Layers that are tried for precision, the most costly first."""

SIMULATED, WORST, BATCH = 64, 16, 32
"""Images that are simulated; those of them that layers are tried on; images of a batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HalfSafety:
    """What was found.

    Attributes:
        kept: names of the nodes to compute in float32, in the order of the graph.
        reasons: for each of them, why.
        min_cosine: of the simulated embeddings with those nodes in float32.
        min_cosine_unsafe: with everything in float16; -1 where embeddings are no numbers.
    """

    kept: tuple[str, ...]
    reasons: dict[str, str]
    min_cosine: float
    min_cosine_unsafe: float


@torch.inference_mode()
def check_half(
    network: LoweredNet, images: NDArray[np.uint8], preprocessing: Preprocessing
) -> HalfSafety:
    """Decides on the nodes of `network`, from real images (N, S, S, 3)."""
    graph, simulation = network.graph, HalfSimulation(network)
    reasons: dict[str, str] = {}
    for start in range(0, len(images), BATCH):
        inputs = _read(graph, images[start : start + BATCH], preprocessing)
        for name, reason in _out_of_range(simulation, inputs):
            reasons.setdefault(name, reason)
    chosen = np.linspace(0, len(images) - 1, min(SIMULATED, len(images))).astype(int)
    inputs = _read(graph, images[chosen], preprocessing)
    exact = simulation.run(inputs)
    unsafe = _cosines(simulation.run(inputs, ()), exact)
    cosines = _cosines(simulation.run(inputs, reasons), exact)
    if cosines.min() < TARGET:
        worst = cosines.argsort()[:WORST]
        reasons = _keep_costly(simulation, inputs[worst], exact[worst], reasons)
        cosines = _cosines(simulation.run(inputs, reasons), exact)
    return HalfSafety(
        kept=tuple(node.name for node in graph if node.name in reasons),
        reasons=reasons,
        min_cosine=float(cosines.min()),
        min_cosine_unsafe=float(unsafe.min()),
    )


def _read(graph: Graph, images: NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    """What the graph reads for these images, (N, 3, S, S)."""
    if not graph.reads_pixels:
        return preprocessing.normalise(images)
    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float()


def _out_of_range(simulation: HalfSimulation, inputs: Tensor) -> Iterator[tuple[str, str]]:
    """Nodes whose weights, sums or values float16 cannot hold, and why."""
    graph = simulation.graph
    for node in graph:
        for field in fields(node):
            tensor = getattr(node, field.name)
            if isinstance(tensor, Tensor) and (fault := _fault(tensor)):
                yield node.name, f"{field.name} {fault}"
    for name, value in simulation.values(inputs):
        if fault := _fault(value):
            for other in _around(graph, name):
                yield other, f"{name} {fault}"
        for node in graph:
            if name in node.inputs and (fault := _sum_fault(node, value)):
                yield node.name, f"sum {fault}"


def _fault(tensor: Tensor) -> str:
    """What float16 would do to these values; nothing if it holds them."""
    peak = float(tensor.abs().max())
    if not peak <= LIMIT:
        return f"reaches {peak:.3g}"
    lost = float(torch.linalg.vector_norm(tensor - rounded(tensor)))
    length = float(torch.linalg.vector_norm(tensor))
    return f"loses {100 * lost / length:.1f} %" if lost > LOSS * length else ""


def _sum_fault(node: Node, value: Tensor) -> str:
    """What float16 would do to the sum inside a mean or a length, if an engine adds up in it."""
    if isinstance(node, Mean):
        sums = value.abs().sum((2, 3))
        return f"reaches {float(sums.max()):.3g}" if not float(sums.max()) <= LIMIT else ""
    if isinstance(node, Normalise):
        squares = value.square().sum(1)
        if not float(squares.max()) <= LIMIT:
            return f"reaches {float(squares.max()):.3g}"
        return f"falls to {float(squares.min()):.3g}" if float(squares.min()) < SMALLEST else ""
    return ""


def _around(graph: Graph, name: str) -> set[str]:
    """The nodes between which a value stays in float32: who computes it and all who read it.

    What only passes it on (slices, concatenations, padding) is followed to those who compute.
    """
    found = {name}
    passed = {name}
    for node in graph:
        if passed.intersection(node.inputs):
            found.add(node.name)
            if isinstance(node, Take | Concat | Pad):
                passed.add(node.name)
    return found


def _keep_costly(
    simulation: HalfSimulation, inputs: Tensor, exact: Tensor, reasons: dict[str, str]
) -> dict[str, str]:
    """`reasons` and the nodes whose rounding costs most, as far as keeping them helps."""

    def worst(kept: set[str]) -> float:
        return float(_cosines(simulation.run(inputs, kept), exact).min())

    everything = {node.name for node in simulation.graph}
    computing = [
        node.name
        for node in simulation.graph
        if node.name not in reasons and not isinstance(node, Take | Concat | Pad)
    ]
    costly = sorted(computing, key=lambda name: worst(everything - {name}))[:TRIALS]
    kept, best = set(reasons), worst(set(reasons))
    for name in costly:
        if best >= TARGET:
            break
        tried = kept | _around(simulation.graph, name)
        reached = worst(tried)
        if 1 - reached <= (1 - GAIN) * (1 - best):
            kept, best = tried, reached
    return {name: reasons.get(name, "rounding") for name in kept}


def _cosines(embeddings: Tensor, exact: Tensor) -> Tensor:
    """(N,): of each embedding with its exact one; -1 for what is no number."""
    return F.cosine_similarity(embeddings.double(), exact.double(), dim=1).nan_to_num(-1.0)
