"""Which layers must stay in float32 when a network is computed in float16.

Float16 can fail in two ways, and both show on real images only: a value leaves its range (above
65504, or so small that digits are lost), or rounding errors add up in the embedding. The first is
detected in a float32 run over all images; the second by simulating float16, and corrected by
keeping the layers with the largest error in float32.
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
from edgecmp.export.quantisation.finite import NonFinite
from edgecmp.export.quantisation.fp16_simulation import Fp16Simulation, rounded
from edgecmp.preprocessing import Preprocessing

__all__ = ["LIMIT", "TARGET", "Fp16Safety", "check_fp16"]

LIMIT = 65504 / 4
"""The largest value that is computed in float16; other images may reach larger ones."""

SMALLEST = 2.0**-14
"""Below it float16 loses digits."""

LOSS = 2.0**-9
"""Relative error of a rounded tensor from which digits are lost; below 2**-11 none are."""

TARGET = 0.9999
"""Cosine to its float32 embedding that every image must reach, or layers are kept in float32."""

GAIN = 0.1
"""A layer is kept for precision if that reduces 1 - (least cosine) by at least this share."""

MAX_CANDIDATES = 16
"""Layers that may be kept for precision, those with the largest error first."""

SIMULATED, WORST, BATCH = 64, 16, 32
"""Images that are simulated; those of them that candidates are tested on; images per batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fp16Safety:
    """The result of `check_fp16`.

    Attributes:
        kept: names of the nodes to compute in float32, in the order of the graph.
        reasons: for each of them, why.
        min_cosine: least cosine of the simulated embeddings with those nodes in float32.
        min_cosine_unsafe: the same with everything in float16; -1 if an embedding is not finite.
    """

    kept: tuple[str, ...]
    reasons: dict[str, str]
    min_cosine: float
    min_cosine_unsafe: float


@torch.inference_mode()
def check_fp16(
    network: LoweredNet, images: NDArray[np.uint8], preprocessing: Preprocessing
) -> Fp16Safety:
    """Decides which nodes of a network to compute in float32.

    Args:
        network: lowered.
        images: real ones, (N, S, S, 3).
        preprocessing: of a network that reads normalised images.

    Raises:
        UserError: a value of the network is not finite in float32.
    """
    graph, simulation = network.graph, Fp16Simulation(network)
    reasons: dict[str, str] = {}
    finite = NonFinite()
    for start in range(0, len(images), BATCH):
        inputs = _read(graph, images[start : start + BATCH], preprocessing)
        finite.start_batch(len(inputs))
        for name, reason in _out_of_range(simulation, inputs, finite):
            reasons.setdefault(name, reason)
    finite.check()
    chosen = np.linspace(0, len(images) - 1, min(SIMULATED, len(images))).astype(int)
    inputs = _read(graph, images[chosen], preprocessing)
    exact = simulation.run(inputs)
    unsafe = _cosines(simulation.run(inputs, ()), exact)
    cosines = _cosines(simulation.run(inputs, reasons), exact)
    if cosines.min() < TARGET:
        worst = cosines.argsort()[:WORST]
        reasons = _keep_largest_errors(simulation, inputs[worst], exact[worst], reasons)
        cosines = _cosines(simulation.run(inputs, reasons), exact)
    return Fp16Safety(
        kept=tuple(node.name for node in graph if node.name in reasons),
        reasons=reasons,
        min_cosine=float(cosines.min()),
        min_cosine_unsafe=float(unsafe.min()),
    )


def _read(graph: Graph, images: NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    """The graph's input for images, (N, 3, S, S)."""
    if not graph.reads_pixels:
        return preprocessing.normalise(images)
    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float()


def _out_of_range(
    simulation: Fp16Simulation, inputs: Tensor, finite: NonFinite
) -> Iterator[tuple[str, str]]:
    """Nodes whose weights, sums or values float16 cannot represent, and why.

    Args:
        simulation: of the network.
        inputs: the graph's input for a batch of images.
        finite: looks at every value.
    """
    graph = simulation.graph
    for node in graph:
        yield from _weights_out_of_range(node)
    for name, value in simulation.values(inputs):
        finite.look(name, value)
        if fault := _fault(value):
            for other in _around(graph, name):
                yield other, f"{name} {fault}"
        for node in graph:
            if name in node.inputs and (fault := _sum_fault(node, value)):
                yield node.name, f"sum {fault}"


def _weights_out_of_range(node: Node) -> Iterator[tuple[str, str]]:
    """The node, and why, for each of its tensors that float16 cannot represent."""
    for field in fields(node):
        tensor = getattr(node, field.name)
        if isinstance(tensor, Tensor) and (fault := _fault(tensor)):
            yield node.name, f"{field.name} {fault}"


def _fault(tensor: Tensor) -> str:
    """Why float16 cannot represent these values; empty if it can."""
    peak = float(tensor.abs().max())
    if not peak <= LIMIT:
        return f"reaches {peak:.3g}"
    lost = float(torch.linalg.vector_norm(tensor - rounded(tensor)))
    length = float(torch.linalg.vector_norm(tensor))
    return f"loses {100 * lost / length:.1f} %" if lost > LOSS * length else ""


def _sum_fault(node: Node, value: Tensor) -> str:
    """Why float16 cannot represent the sum inside a mean or a norm; empty if it can.

    An engine may accumulate in float16.
    """
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
    """The nodes to keep in float32 so that a value stays in float32: its producer and its readers.

    Slices, concatenations and padding only copy a value, so the readers of their outputs count too.
    """
    found = {name}
    passed = {name}
    for node in graph:
        if passed.intersection(node.inputs):
            found.add(node.name)
            if isinstance(node, Take | Concat | Pad):
                passed.add(node.name)
    return found


def _keep_largest_errors(
    simulation: Fp16Simulation, inputs: Tensor, exact: Tensor, reasons: dict[str, str]
) -> dict[str, str]:
    """`reasons`, and the nodes with the largest rounding error whose keeping improves the result.

    Args:
        simulation: of the network.
        inputs: of the worst images.
        exact: their float32 embeddings (N, D).
        reasons: why each node is kept already.
    """

    def worst(kept: set[str]) -> float:
        return float(_cosines(simulation.run(inputs, kept), exact).min())

    everything = {node.name for node in simulation.graph}
    computing = [
        node.name
        for node in simulation.graph
        if node.name not in reasons and not isinstance(node, Take | Concat | Pad)
    ]
    candidates = sorted(computing, key=lambda name: worst(everything - {name}))[:MAX_CANDIDATES]
    kept, best = set(reasons), worst(set(reasons))
    for name in candidates:
        if best >= TARGET:
            break
        larger = kept | _around(simulation.graph, name)
        cosine = worst(larger)
        if 1 - cosine <= (1 - GAIN) * (1 - best):
            kept, best = larger, cosine
    return {name: reasons.get(name, "rounding") for name in kept}


def _cosines(embeddings: Tensor, exact: Tensor) -> Tensor:
    """(N,) cosine of each embedding with its exact one; -1 if it is not finite."""
    return F.cosine_similarity(embeddings.double(), exact.double(), dim=1).nan_to_num(-1.0)
