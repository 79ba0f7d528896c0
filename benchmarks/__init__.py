"""The measuring harness: devices, the runner that goes to them, and what is asked of both."""

from edgecmp.benchmarks.bench.plan import BenchPlan
from edgecmp.benchmarks.bench.report import BenchReport
from edgecmp.benchmarks.bench.run import bench
from edgecmp.benchmarks.devices import Device, open_device

__all__ = ["BenchPlan", "BenchReport", "Device", "bench", "open_device"]
