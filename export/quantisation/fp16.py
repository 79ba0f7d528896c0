"""Weights in half precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecmp.errors import UserError

__all__ = ["halved"]


def halved(name: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float16]]:
    """The values rounded to float16; `name` says whose they are.

    Raises:
        UserError: one of them is beyond float16's 65504.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise UserError(
            f"The weights of {name} do not fit into half precision: they reach "
            f"{np.abs(values).max():.3g}, float16 ends at 65504.",
            "Export with --precision fp32.",
        )
    return rounded
