"""Benchmarks: devices, latency measurements, latency tables, the paper's tables and studies."""

from edgecmp.benchmarks.bench.plan import BenchPlan
from edgecmp.benchmarks.bench.report import BenchReport
from edgecmp.benchmarks.bench.run import bench
from edgecmp.benchmarks.devices import Device, open_device

__all__ = ["BenchPlan", "BenchReport", "Device", "bench", "open_device"]
