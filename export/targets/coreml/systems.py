"""Which iOS a Core ML package asks for."""

from __future__ import annotations

from edgecmp.errors import UserError

__all__ = ["SYSTEMS", "choose_system"]

SYSTEMS = ("iOS15", "iOS16", "iOS17", "iOS18")
"""Systems that run ML Programs, oldest first; iOS 15's counterpart is macOS 12, and so on."""

COMPRESSED_SINCE = "iOS16"
"""The first system that decompresses weights."""


def choose_system(precision: str, asked: str | None) -> str:
    """The oldest system that runs a package of that precision, or the one that is asked for.

    Raises:
        UserError: the one that is asked for does not run it.
    """
    needed = SYSTEMS[0] if precision in ("fp32", "fp16") else COMPRESSED_SINCE
    if asked is None:
        return needed
    if SYSTEMS.index(asked) < SYSTEMS.index(needed):
        raise UserError(
            f"{asked} does not run weights of precision {precision}, {needed} and later do.",
            f"Leave out --system, or use --system {needed} or --precision fp16.",
        )
    return asked
