"""Exporters: exact rewrites, one writer a target, and the proof that they agree."""

from edgecmp.export.metadata import Metadata
from edgecmp.export.registry import Target, register_target, target, targets

__all__ = ["Metadata", "Target", "register_target", "target", "targets"]
