"""Why a file fails: does it get the wrong input, and if not, which layer differs first?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.export.formats import registry
from edgecmp.export.parity.cosines import row_cosines
from edgecmp.export.parity.layer_probes import layer_names, layer_outputs
from edgecmp.export.prepare import prepare
from edgecmp.export.runtimes.openers import RuntimeRefusedError
from edgecmp.export.runtimes.runner import Batch, Runner

__all__ = ["IMAGES", "LayerCosines", "compare_layers", "input_mistake"]

IMAGES = 16
"""Real queries that the search for a cause uses."""

AGREES = 0.99
"""Mean cosine from which a file with a changed input is taken to compute torch's embeddings."""

MIN_CHANNEL_COSINE = {"fp32": 0.9999, "fp16": 0.999, "int8-weights": 0.95}
"""By precision: a layer differs if a channel's cosine with torch's is below this."""

MIN_CHANNEL_COSINE_OTHER = 0.7
"""The same for all other precisions."""

SMALL_CHANNEL = 0.01
"""Channels below this share of the largest channel's energy are ignored: they are mostly noise."""


def input_mistake(
    runner: Runner, pixels: NDArray[np.uint8], reference: NDArray[np.float32]
) -> str | None:
    """The mistake in the input that explains a file's embeddings, found by correcting it.

    Args:
        runner: the file.
        pixels: prepared images (N, S, S, 3).
        reference: torch's embeddings of them (N, D).

    Returns:
        One clause, or None if no changed input helps.
    """
    for mistake, batch in _changed_inputs(runner, pixels):
        try:
            embeddings = runner.run(batch)
        except RuntimeRefusedError:
            continue
        cosines = row_cosines(embeddings, reference)
        if np.isfinite(cosines).all() and cosines.mean() >= AGREES:
            return mistake
    return None


def _changed_inputs(runner: Runner, pixels: NDArray[np.uint8]) -> Iterator[tuple[str, Batch]]:
    """A mistake, and the input that would correct it."""
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    yield "it reads BGR: red and blue are swapped", runner.to_input(bgr)
    if runner.metadata.input == "image":
        return
    twice = "its input is normalised twice: the file normalises values that are normalised already"
    for colours, order in ((pixels, ""), (bgr, ", and it reads BGR")):
        values = np.ascontiguousarray(colours, np.float32)
        yield f"{twice} (it agrees when given pixels in 0..1{order})", values / 255
        yield f"{twice} (it agrees when given pixels in 0..255{order})", values


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerCosines:
    """A file's layers against torch's.

    Attributes:
        cosines: of each layer, in the order of the network: the least cosine of a channel.
        bound: a layer with a lower cosine differs.
        exact: whether the file computes floats from unrounded weights, so that its layers agree up
            to float rounding.
    """

    cosines: dict[str, float]
    bound: float
    exact: bool

    @property
    def first(self) -> str | None:
        """The first layer that differs; None if all agree."""
        return next((name for name, cosine in self.cosines.items() if cosine < self.bound), None)

    @property
    def least(self) -> float:
        """The cosine of the layer that agrees least."""
        return min(self.cosines.values())

    def cause(self) -> str:
        """What the layers say about a file that fails, as a clause."""
        if self.first is not None:
            cosine = self.cosines[self.first]
            return f"departs first at {self.first} (cosine of its worst channel {cosine:.4f})"
        behind = "behind the last layer: in the scaling to unit length, or another output is read"
        if self.exact:
            return f"all {len(self.cosines)} layers agree with torch's, so the fault is {behind}"
        return (
            f"no layer alone differs from torch's by more than its precision explains (cosine of "
            f"the worst channel {self.least:.4f}): rounding adds up over the layers, or the fault "
            f"is {behind}"
        )


def compare_layers(
    runner: Runner, bundle: QueryBundle, pixels: NDArray[np.uint8]
) -> LayerCosines | None:
    """The layers of a file against torch's, or None if they cannot be compared.

    The scale of a channel is ignored, since integers have scales of their own.

    Args:
        runner: the file.
        bundle: the network that it was exported from.
        pixels: prepared images (N, S, S, 3).
    """
    metadata = runner.metadata
    network = prepare(bundle, registry.target(metadata.target), metadata.precision)
    names = layer_names(network, metadata.target)
    outputs = layer_outputs(runner, names, runner.to_input(pixels))
    if outputs is None:
        return None
    inputs = bundle.preprocessing.normalise(pixels)
    values = {node.name: value.numpy() for node, value in network.each(inputs)}
    cosines = {
        name: _least_channel_cosine(output, values[name])
        for name, output in zip(names, outputs, strict=True)
    }
    return LayerCosines(
        cosines=cosines,
        bound=MIN_CHANNEL_COSINE.get(metadata.precision, MIN_CHANNEL_COSINE_OTHER),
        exact=metadata.precision == "fp32",
    )


def _least_channel_cosine(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The least cosine of a channel (N, ...) with torch's, over the channels that count."""
    if actual.shape != expected.shape:
        return -1.0
    axes = (0, *range(2, expected.ndim))
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    energy = (b**2).sum(axes)
    if not energy.any():
        return -1.0 if a.any() else 1.0
    cosines = (a * b).sum(axes) / np.sqrt(np.maximum((a**2).sum(axes) * energy, 1e-30))
    cosines = np.where(np.isfinite(cosines), cosines, -1.0)
    return float(cosines[energy >= SMALL_CHANNEL * energy.max()].min())
