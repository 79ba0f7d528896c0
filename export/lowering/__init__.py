"""Lowering: exact rewrites of a query network into the form that device runtimes run fastest."""

from edgecmp.export.lowering.graph import Graph
from edgecmp.export.lowering.lower import REWRITES, lower, lower_graph
from edgecmp.export.lowering.lowered import LoweredNet
from edgecmp.export.lowering.trace_fx import trace_module

__all__ = ["REWRITES", "Graph", "LoweredNet", "lower", "lower_graph", "trace_module"]
