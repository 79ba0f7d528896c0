"""Quantisation: how integers represent real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Quantisation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantisation:
    """How integers represent real numbers: real = scale * (integer - zero_point).

    Attributes:
        scale: (1,) float32, or (C,), one per index of `axis`.
        zero_point: the same for all scales.
        axis: along which the scales differ.
    """

    scale: np.ndarray[Any, np.dtype[np.float32]]
    zero_point: int = 0
    axis: int = 0
