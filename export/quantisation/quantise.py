"""From a lowered network to integers: equalise channels, plan the scales, correct the biases."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.graph import IMAGE, Graph, Mean, Pad
from edgecmp.export.quantisation.correct_bias import correct_bias
from edgecmp.export.quantisation.equalise import equalise
from edgecmp.export.quantisation.observers import batches, observe
from edgecmp.export.quantisation.pixels import centre_pixels
from edgecmp.export.quantisation.qparams import Plan, make_plan
from edgecmp.export.quantisation.scheme import Quantisation
from edgecmp.preprocessing import Preprocessing

__all__ = ["quantise"]

CORRECTION_PIXELS = 1_000_000
"""Pixels of all images that the biases are corrected on, which are in memory at once."""


def quantise(
    network: LoweredNet, images: NDArray[np.uint8], preprocessing: Preprocessing
) -> tuple[Graph, Plan]:
    """The network's graph prepared for integers, and the scales of its integer values.

    All values up to the pooled features are integers; the linear layer and the normalisation stay
    floats, since an embedding of 8 bits would lose more accuracy than everything else together.

    Args:
        network: lowered, without batch norms.
        images: real training images (N, S, S, 3).
        preprocessing: of a network that reads normalised images.
    """
    graph = network.graph
    inputs = list(batches(network, images, preprocessing))
    pixel: Quantisation | None = None
    if graph.reads_pixels:
        graph, zero = centre_pixels(graph)
        inputs = [batch - zero for batch in inputs]
        pixel = Quantisation(scale=np.ones(1, np.float32), zero_point=zero - 128)
    graph, ranges = equalise(graph, observe(LoweredNet(graph), inputs))
    *_, pooled = (node.name for node in graph if isinstance(node, Mean))
    plan = make_plan(graph, ranges, pooled)
    if pixel is not None:
        padded = [node.name for node in graph if isinstance(node, Pad) and IMAGE in node.inputs]
        plan |= dict.fromkeys([IMAGE, *padded], pixel)
    count = max(1, CORRECTION_PIXELS // network.input_size**2)
    return correct_bias(graph, plan, torch.cat(inputs)[:count]), plan
