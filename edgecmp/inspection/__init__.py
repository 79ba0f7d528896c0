"""`edgecmp inspect`: what an artefact is, what it was made from, and whether it is complete."""

from edgecmp.inspection.core import (
    architecture_facts,
    gallery_check,
    inspect_architecture,
    inspect_bundle,
    inspect_index,
    inspect_latency_table,
    inspect_shards,
)
from edgecmp.inspection.inspection import Check, Inspection, made_by, size_facts, weight_facts
from edgecmp.inspection.report import InspectReport, Unreadable
from edgecmp.inspection.table import inspect_table

__all__ = [
    "Check",
    "InspectReport",
    "Inspection",
    "Unreadable",
    "architecture_facts",
    "gallery_check",
    "inspect_architecture",
    "inspect_bundle",
    "inspect_index",
    "inspect_latency_table",
    "inspect_shards",
    "inspect_table",
    "made_by",
    "size_facts",
    "weight_facts",
]
