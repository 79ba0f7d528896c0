"""The starter kit: trained models on the embedded emoji set, shipped with the package."""

from __future__ import annotations

from pathlib import Path

from edgecmp.errors import unknown_choice

__all__ = ["PARTS", "architecture", "path"]

PARTS = ("gallery", "supernet", "query", "index")
"""Gallery model, supernet of the 100M tier, trained query network that a search chose, index."""


def path(part: str) -> Path:
    """The folder of one part of the kit.

    Args:
        part: one of `PARTS`.

    Raises:
        UserError: there is no such part.
    """
    if part not in PARTS:
        raise unknown_choice("part of the starter kit", part, PARTS)
    return Path(__file__).parent / part


def architecture(tier: str) -> Path:
    """The architecture.json that a search chose from a tier's supernet on the emoji set."""
    return Path(__file__).parent / "architectures" / f"{tier}.json"
