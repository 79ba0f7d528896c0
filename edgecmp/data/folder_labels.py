"""Whether the folders of images are identities, or albums whose images have no labels.

Images directly in a folder that has no sub-folders have no labels. Sub-folders are identities,
unless all of them are called after dates, as photo libraries call them (2024, 2024-05, 20240517,
2024-05 Rome), or as cameras call them (DCIM, 100CANON).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

__all__ = ["Labels", "called_like_albums"]

Labels: TypeAlias = Literal["identities", "none"]

_YEAR = r"(?:19|20)\d\d"
_MONTH, _DAY = r"[-_.]?(?:0[1-9]|1[0-2])", r"[-_.]?(?:0[1-9]|[12]\d|3[01])"
_CAMERA = r"DCIM|[1-9]\d\d[A-Z_][A-Z0-9_]{4}"
_ALBUM = re.compile(rf"{_YEAR}|{_YEAR}{_MONTH}(?:{_DAY})?(?:[-_ ].*)?|{_CAMERA}", re.IGNORECASE)
"""A year; a month or day, with words after it; or as the "Design rule for Camera File system" says.

A year with words is no album: it may be a model, such as 2012 Focus.
"""


def called_like_albums(names: Iterable[str]) -> bool:
    """Whether all of these names, of which there is at least one, are those of albums."""
    listed = list(names)
    return bool(listed) and all(_ALBUM.fullmatch(name) for name in listed)
