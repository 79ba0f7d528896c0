"""Weights in float16."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecmp.errors import UserError

__all__ = ["to_float16"]


def to_float16(name: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float16]]:
    """The values rounded to float16.

    Args:
        name: of the layer or tensor, for the error.
        values: the weights.

    Raises:
        UserError: one of them exceeds float16's largest value, 65504.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise UserError(
            f"The weights of {name} exceed the range of float16: they reach "
            f"{np.abs(values).max():.3g}, and float16 ends at 65504.",
            "Export with --precision fp32.",
        )
    return rounded
