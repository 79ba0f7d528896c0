"""The sizes of an embedding and an image that a query network can have."""

from __future__ import annotations

from edgecmp.errors import UserError

__all__ = ["check_sizes"]

SMALLEST_INPUT = 32


def check_sizes(embedding_dim: int, input_size: int) -> None:
    """Refuses sizes that no query network can have.

    Args:
        embedding_dim: D of the (N, D) embeddings.
        input_size: height and width of the images, in pixels.

    Raises:
        UserError: a size is too small.
    """
    if embedding_dim < 1 or input_size < SMALLEST_INPUT:
        raise UserError(
            f"A network with {embedding_dim} embedding values and an input of {input_size} pixels "
            "cannot be built.",
            f"Set embedding_dim to at least 1 and input_size to at least {SMALLEST_INPUT}.",
        )
