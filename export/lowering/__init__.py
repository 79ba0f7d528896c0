"""Lowering: a query network rewritten, exactly, into the form that device runtimes run fastest."""

from edgecmp.export.lowering.graph import Graph
from edgecmp.export.lowering.lower import REWRITES, lower
from edgecmp.export.lowering.lowered import LoweredNet

__all__ = ["REWRITES", "Graph", "LoweredNet", "lower"]
