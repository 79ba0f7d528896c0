"""The embedding in an output with one row per token, as vision transformers return them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError

__all__ = ["Token", "row_of_token"]

Token: TypeAlias = int | Literal["mean"]
"""The row that is the embedding where an output has one per token, (N, T, D); or their mean."""


def row_of_token(
    values: NDArray[Any], token: Token | None, *, output: str, path: Path
) -> NDArray[Any]:
    """The embeddings (N, D) in an output (N, T, D); any other output if `token` is None.

    Args:
        values: the output.
        token: see `Token`; None: the output has one row per image.
        output: its name, for errors.
        path: of the file, for errors.

    Raises:
        UserError: the output has rows per token and `token` is None, or the reverse, or it has no
            such row.
    """
    if token is None:
        if values.ndim == 3:
            raise UserError(
                f"{output!r} of {path} has the shape {values.shape}: one row per token instead of "
                "one embedding per image.",
                "Write token = 0 in the .toml description if the first row is the embedding (the "
                'class token of CLIP and DINOv2), or token = "mean" for the mean of all rows.',
            )
        return values
    if values.ndim != 3 or values.dtype.kind != "f":
        raise UserError(
            f"{output!r} of {path} has the shape {values.shape} and type {values.dtype}, without "
            "rows per token.",
            "Remove token from the .toml description, or name another output in it.",
        )
    if token == "mean":
        mean: NDArray[Any] = values.astype(np.float32).mean(axis=1)
        return mean
    rows = values.shape[1]
    if not 0 <= token < rows:
        raise UserError(
            f"{output!r} of {path} has {rows} rows per image, and no row {token}.",
            f'Write a token from 0 to {rows - 1}, or token = "mean", in the .toml description.',
        )
    row: NDArray[Any] = values[:, token]
    return row
