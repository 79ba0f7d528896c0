"""The stages between the trained network and its files: lowered, and quantised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.errors import UserError
from edgecmp.export.formats import registry
from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.graph import Conv, Graph, Linear, Node
from edgecmp.export.metadata import Metadata
from edgecmp.export.prepare import prepare
from edgecmp.export.quantisation.calibration import calibration_images
from edgecmp.export.quantisation.fake_quant import rounded_weights, simulate
from edgecmp.export.quantisation.fp16 import to_float16
from edgecmp.export.quantisation.qparams import Plan
from edgecmp.export.quantisation.quantise import quantise
from edgecmp.export.quantisation.weights import SMALL
from edgecmp.networks.embed import embed
from edgecmp.progress import say

__all__ = ["QUANTISE", "Stage", "stages"]

QUANTISE = "quantise "
"""The name of a stage of quantisation starts with it and ends with the precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One form of the network before it is written to a file."""

    name: str
    network: torch.nn.Module
    bundle: QueryBundle

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeds prepared images (N, S, S, 3): (N, D)."""
        return embed(self.network, pixels, self.bundle.preprocessing)


class _IntegerNet(torch.nn.Module):
    """A network in integers, simulated in floats."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        super().__init__()
        self.graph = graph
        self.plan = plan

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result = image
        for _, value in simulate(self.graph, self.plan, image):
            result = value
        return result


def stages(bundle: QueryBundle, files: Iterable[Metadata]) -> list[Stage]:
    """The lowered network, and the network in each precision of the TFLite files.

    A stage whose calibration images are missing is left out, with a message.

    Args:
        bundle: the trained network.
        files: metadata of the exported files.
    """
    lowered = prepare(bundle, registry.target("tflite"), "fp32")
    networks: dict[str, torch.nn.Module] = {"lower": lowered}
    for metadata in files:
        name = f"{QUANTISE}{metadata.precision}"
        if metadata.target != "tflite" or metadata.precision == "fp32" or name in networks:
            continue
        try:
            networks[name] = _quantised(bundle, lowered, metadata)
        except UserError as error:
            say(f"The stage {name!r} is left out: {error.what}")
    return [Stage(name=name, network=network, bundle=bundle) for name, network in networks.items()]


def _quantised(bundle: QueryBundle, lowered: LoweredNet, metadata: Metadata) -> torch.nn.Module:
    """The network with the weights or the integers of a file.

    Raises:
        UserError: the calibration images of an int8 file are missing or were changed.
    """
    if metadata.precision == "int8":
        return _integers(bundle, metadata.calibration or {})
    int8_from = None if metadata.precision == "fp16" else SMALL
    nodes = [_with_stored_weights(node, int8_from) for node in lowered.graph]
    return LoweredNet(lowered.graph.with_nodes(nodes))


def _integers(bundle: QueryBundle, calibration: dict[str, Any]) -> _IntegerNet:
    """The integers that the writer computed from the calibration images that it names.

    Raises:
        UserError: the images are missing or were changed.
    """
    images, about = calibration_images(
        bundle, str(calibration.get("data", "")) or None, seed=int(calibration.get("seed", 0))
    )
    if about["fingerprint"] != calibration.get("fingerprint"):
        raise UserError(
            f"The calibration images {about['data']} were changed since the file was exported.",
            "Export the file again.",
        )
    lowered = prepare(bundle, registry.target("tflite"), "int8")
    return _IntegerNet(*quantise(lowered, images, bundle.preprocessing))


def _with_stored_weights(node: Node, int8_from: int | None) -> Node:
    """A layer with its weights as a file stores them; other nodes are returned unchanged.

    Args:
        node: of the lowered network.
        int8_from: weights of at least this many values are int8, the others float16; None: all are
            float16.
    """
    if not isinstance(node, Conv | Linear):
        return node
    if int8_from is not None and node.weight.numel() >= int8_from:
        return rounded_weights(node)
    weight = to_float16(node.name, node.weight.numpy()).astype(np.float32)
    return replace(node, weight=torch.from_numpy(weight))
