"""Devices on which models are timed, behind one interface."""

from edgecmp.benchmarks.devices.device import Device, Visit
from edgecmp.benchmarks.devices.errors import (
    DeviceKilledError,
    DeviceLostError,
    DeviceRunError,
    DeviceTimeoutError,
)
from edgecmp.benchmarks.devices.local import LocalDevice
from edgecmp.benchmarks.devices.open import open_device
from edgecmp.benchmarks.devices.spec import DeviceSpec

__all__ = [
    "Device",
    "DeviceKilledError",
    "DeviceLostError",
    "DeviceRunError",
    "DeviceSpec",
    "DeviceTimeoutError",
    "LocalDevice",
    "Visit",
    "open_device",
]
