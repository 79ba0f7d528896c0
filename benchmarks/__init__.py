"""The measuring harness: devices, the runner that goes to them, and what is asked of both."""

from edgecmp.benchmarks.bench import BenchReport, bench
from edgecmp.benchmarks.devices import Device, open_device

__all__ = ["BenchReport", "Device", "bench", "open_device"]
