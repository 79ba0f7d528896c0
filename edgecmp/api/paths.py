"""PathLike: how functions of the API take paths."""

from pathlib import Path
from typing import TypeAlias

__all__ = ["PathLike"]

PathLike: TypeAlias = str | Path
"""A path, as text or as a `pathlib.Path`."""
