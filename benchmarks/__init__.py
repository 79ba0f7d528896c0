"""The measuring harness: devices, the runner that goes to them, and what is asked of both."""

from edgecmp.benchmarks.bench import bench
from edgecmp.benchmarks.bench_plan import BenchPlan
from edgecmp.benchmarks.bench_report import BenchReport
from edgecmp.benchmarks.devices import Device, open_device

__all__ = ["BenchPlan", "BenchReport", "Device", "bench", "open_device"]
