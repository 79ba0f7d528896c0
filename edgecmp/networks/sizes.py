"""The sizes of an embedding and an image that a query network can have."""

from __future__ import annotations

from edgecmp.errors import UserError

__all__ = ["LARGEST_EMBEDDING", "LARGEST_INPUT", "SMALLEST_INPUT", "check_sizes"]

SMALLEST_INPUT, LARGEST_INPUT = 32, 4096
LARGEST_EMBEDDING = 65_536
"""Sixteen times the widest embedding in use; beyond it a typing error is likelier."""


def check_sizes(embedding_dim: int, input_size: int) -> None:
    """Refuses sizes that no query network can have.

    Args:
        embedding_dim: D of the (N, D) embeddings.
        input_size: height and width of the images, in pixels.

    Raises:
        UserError: a size is too small or too large.
    """
    if 1 <= embedding_dim <= LARGEST_EMBEDDING and SMALLEST_INPUT <= input_size <= LARGEST_INPUT:
        return
    raise UserError(
        f"A network with {_number(embedding_dim)} embedding values and an input of "
        f"{_number(input_size)} pixels cannot be built.",
        f"Set embedding_dim to a number from 1 to {LARGEST_EMBEDDING} and input_size to one from "
        f"{SMALLEST_INPUT} to {LARGEST_INPUT}.",
    )


def _number(value: int) -> str:
    """The number, or its order of magnitude if it has very many digits."""
    return str(value) if abs(value) < 10**12 else f"10^{value.bit_length() * 3 // 10} or more"
