"""Exporters: exact rewrites, one writer per file format, and the proof that they agree.

Importing the package takes milliseconds; its names are imported when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecmp.export.formats.registry import Target, register_target, target, targets
    from edgecmp.export.metadata import Metadata
    from edgecmp.export.parity.run import ParityReport, parity
    from edgecmp.export.run import Exported, export

__all__ = [
    "Exported",
    "Metadata",
    "ParityReport",
    "Target",
    "export",
    "parity",
    "register_target",
    "target",
    "targets",
]

_MODULES = {
    "Exported": "run",
    "Metadata": "metadata",
    "ParityReport": "parity.run",
    "Target": "formats.registry",
    "export": "run",
    "register_target": "formats.registry",
    "target": "formats.registry",
    "targets": "formats.registry",
}
"""Where each name is defined; `parity` is the sub-package, which is called like the function."""


def __getattr__(name: str) -> Any:
    if name == "parity":
        return importlib.import_module(f"{__name__}.parity")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
