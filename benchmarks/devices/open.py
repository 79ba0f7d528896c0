"""From a device's name to the device."""

from __future__ import annotations

from collections.abc import Callable

from edgecmp.benchmarks.devices.adb import AdbDevice
from edgecmp.benchmarks.devices.coreml import CoreMLDevice
from edgecmp.benchmarks.devices.device import Device
from edgecmp.benchmarks.devices.local import LocalDevice
from edgecmp.benchmarks.devices.spec import DeviceSpec
from edgecmp.benchmarks.devices.ssh import SshDevice

__all__ = ["open_device"]

KINDS: dict[str, tuple[Callable[[DeviceSpec], Device], tuple[str, ...]]] = {
    "local": (lambda spec: LocalDevice(), ()),
    "adb": (AdbDevice, ("python", "folder", "benchmark_model", "cpus")),
    "ssh": (SshDevice, ("python", "folder", "config")),
    "coreml": (CoreMLDevice, ("units", "team")),
}
"""By kind of device: the function that opens it, and the options that it supports."""


def open_device(name: str) -> Device:
    """Opens the device of that name: "local", "adb:SERIAL", "ssh://user@host:22", "coreml:local".

    Raises:
        UserError: the kind of device is unknown, or the device cannot be reached.
    """
    spec = DeviceSpec.parse(name, {kind: options for kind, (_, options) in KINDS.items()})
    return KINDS[spec.kind][0](spec)
