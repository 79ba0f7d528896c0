"""The mean and std that pixels in 0..1 are normalised by, and the usual mistakes with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgecmp.errors import UserError

__all__ = ["check_normalisation"]


def check_normalisation(mean: Sequence[float], std: Sequence[float]) -> None:
    """Refuses a mean outside 0..1, and a std that is zero or outside the same range.

    Values for pixels in 0..255, such as 127.5, would turn every image into almost the same input.

    Raises:
        UserError: the error has the values for pixels in 0..1.
    """
    given = f"mean = {_listed(mean)} and std = {_listed(std)} of the preprocessing"
    if not all(math.isfinite(value) for value in (*mean, *std)):
        raise UserError(f"The {given} are not finite.", "Choose values from 0 to 1.")
    if min(mean) < 0 or min(std) <= 0:
        raise UserError(
            f"The {given} are outside their range.",
            "Choose every mean from 0 to 1, and every std above 0 and up to 1.",
        )
    if max(*mean, *std) > 1:
        raise UserError(
            f"The {given} are not for pixels in 0..1, but the network reads (pixel / 255 - mean) / "
            "std.",
            f"If they are for pixels in 0..255, write mean = {_listed(_scaled(mean))} and std = "
            f"{_listed(_scaled(std))}.",
        )


def _scaled(values: Sequence[float]) -> Sequence[float]:
    """Values for pixels in 0..255 as values for pixels in 0..1; those below 1 are so already."""
    return [value / 255 for value in values] if max(values) >= 1 else values


def _listed(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.6g}' for value in values)}]"
