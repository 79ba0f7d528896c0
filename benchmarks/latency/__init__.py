"""Latency tables: built on a device, checked against whole networks."""

from edgecmp.benchmarks.latency.build import build
from edgecmp.benchmarks.latency.check import LatencyCheck, check
from edgecmp.benchmarks.latency.networks import measure_networks

__all__ = ["LatencyCheck", "build", "check", "measure_networks"]
