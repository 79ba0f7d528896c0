"""The network on its way into a file, lowered and quantised, each as something that embeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.errors import UserError
from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.graph import Conv, Graph, Linear, Node
from edgecmp.export.metadata import Metadata
from edgecmp.export.prepare import prepare
from edgecmp.export.quantisation.calibration import calibration_images
from edgecmp.export.quantisation.fake_quant import rounded_weights, simulate
from edgecmp.export.quantisation.fp16 import halved
from edgecmp.export.quantisation.qparams import Plan
from edgecmp.export.quantisation.quantise import quantise
from edgecmp.export.quantisation.weights import SMALL
from edgecmp.export.targets import registry
from edgecmp.networks.embed import embed
from edgecmp.progress import say

__all__ = ["Stage", "stages"]


@dataclass(kw_only=True, slots=True)
class Stage:
    """One form of the network, and what it gave for the queries and the gallery's images."""

    name: str
    network: torch.nn.Module
    bundle: QueryBundle
    parts: list[NDArray[np.float32]] = field(default_factory=list)
    gallery_parts: list[NDArray[np.float32]] = field(default_factory=list)

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Prepared images (N, S, S, 3) to embeddings (N, D)."""
        return embed(self.network, pixels, self.bundle.preprocessing)


class _Integers(torch.nn.Module):
    """What integers compute, simulated in floats."""

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
    """The network lowered, and quantised in each way that one of the TFLite files is."""
    tflite = registry.target("tflite")
    lowered = prepare(bundle, tflite, "fp32")
    found: dict[str, torch.nn.Module] = {"lower": lowered}
    for metadata in files:
        name = f"quantise {metadata.precision}"
        if metadata.target != "tflite" or name in found:
            continue
        if metadata.precision == "int8":
            network = prepare(bundle, tflite, "int8")
            try:
                found[name] = _integers(bundle, network, metadata.calibration or {})
            except UserError as error:
                say(f"The stage {name!r} is left out: {error.what}")
        elif metadata.precision != "fp32":
            least = 0 if metadata.precision == "fp16" else SMALL
            nodes = [_stored(node, least) for node in lowered.graph]
            found[name] = LoweredNet(lowered.graph.with_nodes(nodes))
    return [Stage(name=name, network=network, bundle=bundle) for name, network in found.items()]


def _integers(bundle: QueryBundle, lowered: LoweredNet, calibration: dict[str, Any]) -> Any:
    """The integers that the writer computed from the calibration images it names.

    Raises:
        UserError: the images are not here, or not as they were.
    """
    images, about = calibration_images(
        bundle, str(calibration.get("data", "")) or None, seed=int(calibration.get("seed", 0))
    )
    if about["fingerprint"] != calibration.get("fingerprint"):
        raise UserError(
            f"The calibration images {about['data']} are not as they were.",
            "Export the file again.",
        )
    return _Integers(*quantise(lowered, images, bundle.preprocessing))


def _stored(node: Node, least: int) -> Node:
    """A layer with the weights that a file holds: int8 from `least` numbers on (0: never)."""
    if not isinstance(node, Conv | Linear):
        return node
    if least and node.weight.numel() >= least:
        return rounded_weights(node)
    weight = halved(node.name, node.weight.numpy()).astype(np.float32)
    return replace(node, weight=torch.from_numpy(weight))
