"""The ranges of a network's values on real images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.graph import IMAGE
from edgecmp.export.quantisation.finite import NonFinite
from edgecmp.preprocessing import Preprocessing

__all__ = ["Range", "batches", "observe"]

BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """The least and the largest value of each channel, both (C,)."""

    low: Tensor
    high: Tensor


def batches(
    network: LoweredNet, images: NDArray[np.uint8], preprocessing: Preprocessing
) -> Iterator[Tensor]:
    """The network's input for images, in batches (n, 3, S, S) float32.

    Args:
        network: reads pixels or normalised images.
        images: (N, S, S, 3).
        preprocessing: of a network that reads normalised images.
    """
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        if network.graph.reads_pixels:
            yield torch.from_numpy(batch).permute(0, 3, 1, 2).float()
        else:
            yield preprocessing.normalise(batch)


@torch.no_grad()
def observe(network: LoweredNet, inputs: Iterable[Tensor]) -> dict[str, Range]:
    """The range of every value, including the image, by name: minimum and maximum.

    A moving average would depend on the order of the images (it reached a cosine of .78 instead
    of .98).

    Raises:
        UserError: a value is not finite.
    """
    finite = NonFinite()
    lows: dict[str, Tensor] = {}
    highs: dict[str, Tensor] = {}
    for batch in inputs:
        finite.start_batch(len(batch))
        named = [(IMAGE, batch), *((node.name, value) for node, value in network.each(batch))]
        for name, value in named:
            axes = [0, *range(2, value.ndim)]
            plain = value.contiguous()  # reduces ten times as fast as channels_last
            finite.look(name, plain)
            low, high = plain.amin(axes), plain.amax(axes)
            lows[name] = torch.minimum(lows.get(name, low), low)
            highs[name] = torch.maximum(highs.get(name, high), high)
    finite.check()
    return {name: Range(low=lows[name], high=highs[name]) for name in lows}
