"""Exporters: exact rewrites, one writer per file format, and the proof that they agree."""

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
