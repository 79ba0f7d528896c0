"""Refuses a network that computes infinities or NaN: no format stores them as they are meant."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import torch
from torch import Tensor

from edgecmp.errors import UserError
from edgecmp.export.lowering.graph import Graph

__all__ = ["NonFinite", "check_weights"]

TRAIN_AGAIN = (
    "Train the network again with a lower learning rate; images are not the cause if "
    "`edgecmp eval` fails too."
)


class NonFinite:
    """Counts the images for which values of a network are not finite."""

    def __init__(self) -> None:
        self._images: Counter[str] = Counter()
        self._all = 0

    def start_batch(self, count: int) -> None:
        """Adds a batch of `count` images."""
        self._all += count

    def look(self, name: str, value: Tensor) -> None:
        """Looks at one value (N, ...) of the batch; call it in the order of the graph."""
        if not bool(torch.isfinite(value.sum())):  # a sum is finite only if every term is
            bad = ~torch.isfinite(value).flatten(1).all(1)
            self._images[name] += int(bad.sum())

    def check(self) -> None:
        """Names the first layer whose value was not finite.

        Raises:
            UserError: there is one.
        """
        for name, count in self._images.items():
            if count:
                raise UserError(
                    f"The network computes values that are not finite: the first are those of "
                    f"{name}, for {count} of {self._all} images.",
                    TRAIN_AGAIN,
                )


def check_weights(graph: Graph) -> None:
    """Refuses a network with weights that are not finite.

    Raises:
        UserError: it names the first layer that has one.
    """
    for node in graph:
        for field in fields(node):
            tensor = getattr(node, field.name)
            if isinstance(tensor, Tensor) and not bool(torch.isfinite(tensor).all()):
                raise UserError(
                    f"The {field.name} of the network's layer {node.name} contains values that "
                    "are not finite.",
                    "Train the network again with a lower learning rate.",
                )
