"""PathLike: how functions of the API take paths."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

__all__ = ["PathLike", "paths_of"]

PathLike: TypeAlias = str | Path
"""A path, as text or as a `pathlib.Path`."""


def paths_of(given: Sequence[PathLike] | PathLike) -> list[PathLike]:
    """Several paths, which may be given as one."""
    return [given] if isinstance(given, str | Path) else [*given]
