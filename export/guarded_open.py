"""Opening an exported file whose format is not yet known to be sound."""

from __future__ import annotations

import os
from pathlib import Path

from edgecmp.errors import UserError

__all__ = ["read_file"]


def read_file(path: Path) -> bytes:
    """The bytes of an exported file.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"{path} cannot be read: {reason}.", "Check the path.") from error
