"""The lowered network that a target is written from, for the exporter and for parity alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecmp.export.lowering import LoweredNet, lower
from edgecmp.export.quantisation.finite import check_weights

if TYPE_CHECKING:
    from edgecmp.artefacts.bundle import QueryBundle
    from edgecmp.export.formats.registry import Target

__all__ = ["prepare"]


def prepare(
    bundle: QueryBundle, target: Target, precision: str, *, input: str = "tensor"
) -> LoweredNet:
    """The network as the target's writer needs it.

    Args:
        bundle: the trained network.
        target: the format that it is lowered for.
        precision: one of the target's.
        input: "tensor" or "image".

    Raises:
        UserError: a weight is not finite.
    """
    network = lower(
        bundle.network,
        input_size=bundle.preprocessing.input_size,
        pixels=bundle.preprocessing if input == "image" else None,
        integers=precision == "int8",
        without=target.without,
    )
    check_weights(network.graph)
    return network
