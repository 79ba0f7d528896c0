"""What may go wrong while a device runs a command."""

from __future__ import annotations

from edgecmp.errors import UserError

__all__ = ["DeviceLostError", "DeviceRunError", "DeviceTimeoutError"]


class DeviceRunError(Exception):
    """A command on the device failed, timed out or lost its output.

    Attributes:
        output: what it had written to its standard output before.
    """

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


class DeviceTimeoutError(DeviceRunError):
    """A command on the device took longer than it may; that says nothing of the model's file."""


class DeviceLostError(UserError):
    """The connection to the device broke in the middle of a command, or its system killed it.

    Attributes:
        output: what had come before.
    """

    def __init__(self, what: str, way_out: str, output: str = "") -> None:
        super().__init__(what, way_out)
        self.output = output
