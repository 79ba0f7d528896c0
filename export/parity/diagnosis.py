"""Why a file fails: is it fed wrongly, and if not, which layer departs first?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.export.parity.layer_probes import layer_names, layers
from edgecmp.export.prepare import prepare
from edgecmp.export.runtimes.runners import Batch, Runner, RuntimeRefusedError
from edgecmp.export.targets import registry

__all__ = ["IMAGES", "first_departure", "fits_when_fed"]

IMAGES = 16
"""Real queries that the search for a cause looks at."""

AGREES = 0.99
"""Mean cosine above which a file fed in another way is taken to compute what torch computes."""

DEPARTS = {"fp32": 0.9999, "fp16": 0.999, "int8-weights": 0.95}
"""By precision: the cosine of a channel with torch's below which its layer departs..."""

DEPARTS_ELSE = 0.7
"""...and for all other precisions."""

SMALL_CHANNEL = 0.01
"""Share of the largest channel's energy below which a channel's own noise says nothing."""


def fits_when_fed(
    runner: Runner, pixels: NDArray[np.uint8], reference: NDArray[np.float32]
) -> str | None:
    """The mistake that explains a departing file, found by feeding it in other ways.

    Args:
        runner: the file.
        pixels: prepared images (N, S, S, 3).
        reference: torch's embeddings of them (N, D).

    Returns:
        One clause, or None if no other way helps.
    """
    for says, batch in _other_ways(runner, pixels):
        try:
            found = runner.run(batch).astype(np.float64)
        except RuntimeRefusedError:
            continue
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(reference, axis=1)
        cosines = (found * reference).sum(1) / np.where(lengths > 0, lengths, 1)
        if np.isfinite(cosines).all() and cosines.mean() >= AGREES:
            return says
    return None


def _other_ways(runner: Runner, pixels: NDArray[np.uint8]) -> Iterator[tuple[str, Batch]]:
    bgr = pixels[..., ::-1]
    yield "it reads BGR: red and blue are swapped", runner.read(np.ascontiguousarray(bgr))
    if runner.metadata.input == "image":
        return
    twice = "its input is normalised twice: it normalises by itself what is normalised before"
    for colours, order in ((pixels, ""), (bgr, ", and it reads BGR")):
        values = np.ascontiguousarray(colours, np.float32)
        yield f"{twice} (it agrees when given pixels in 0..1{order})", values / 255
        yield f"{twice} (it agrees when given pixels in 0..255{order})", values


def first_departure(
    runner: Runner, bundle: QueryBundle, pixels: NDArray[np.uint8]
) -> tuple[str, float] | None:
    """The first layer whose channels are not torch's, and the cosine of its worst channel.

    A channel's scale does not count, since integers live with scales of their own. If no layer
    departs clearly, it is the worst one. None where the file's layers cannot be compared.
    """
    metadata = runner.metadata
    network = prepare(bundle, registry.target(metadata.target), metadata.precision)
    names = layer_names(network, metadata.target)
    found = layers(runner, names, runner.read(pixels))
    if found is None:
        return None
    inputs = bundle.preprocessing.normalise(pixels)
    values = {node.name: value.numpy() for node, value in network.each(inputs)}
    scores = {
        name: _worst_channel(mine, values[name]) for name, mine in zip(names, found, strict=True)
    }
    bound = DEPARTS.get(metadata.precision, DEPARTS_ELSE)
    for name, score in scores.items():
        if score < bound:
            return name, score
    worst = min(scores, key=lambda name: scores[name])
    return worst, scores[worst]


def _worst_channel(mine: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The least cosine between the maps (N, C, ...) of one channel, over those that matter."""
    if mine.shape != theirs.shape:
        return -1.0
    axes = (0, *range(2, theirs.ndim))
    a, b = mine.astype(np.float64), theirs.astype(np.float64)
    energy = (b**2).sum(axes)
    if not energy.any():
        return -1.0 if a.any() else 1.0
    cosines = (a * b).sum(axes) / np.sqrt(np.maximum((a**2).sum(axes) * energy, 1e-30))
    cosines = np.where(np.isfinite(cosines), cosines, -1.0)
    return float(cosines[energy >= SMALL_CHANNEL * energy.max()].min())
