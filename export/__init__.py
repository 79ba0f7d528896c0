"""Exporters: exact rewrites, one writer a target, and the proof that they agree."""

from edgecmp.export.metadata import Metadata
from edgecmp.export.parity.run import ParityReport, parity
from edgecmp.export.run import Exported, export
from edgecmp.export.targets.registry import Target, register_target, target, targets

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
