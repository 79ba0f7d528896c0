"""The oldest iOS that runs a Core ML package."""

from __future__ import annotations

from edgecmp.errors import UserError

__all__ = ["SYSTEMS", "choose_system"]

SYSTEMS = ("iOS15", "iOS16", "iOS17", "iOS18")
"""Systems that run ML Programs, oldest first; iOS 15 corresponds to macOS 12, and so on."""

COMPRESSED_SINCE = "iOS16"
"""The first system that decompresses weights."""


def choose_system(precision: str, requested: str | None) -> str:
    """The requested system, or else the oldest one that runs a package of a precision.

    Raises:
        UserError: the requested system does not run it.
    """
    needed = SYSTEMS[0] if precision in ("fp32", "fp16") else COMPRESSED_SINCE
    if requested is None:
        return needed
    if SYSTEMS.index(requested) < SYSTEMS.index(needed):
        raise UserError(
            f"{requested} does not run weights of precision {precision}: that needs {needed}.",
            f"Leave out --system, or use --system {needed} or --precision fp16.",
        )
    return requested
