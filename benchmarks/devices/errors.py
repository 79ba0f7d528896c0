"""The errors that may occur while a device runs a command."""

from __future__ import annotations

from edgecmp.errors import UserError

__all__ = ["DeviceLostError", "DeviceRunError", "DeviceTimeoutError"]


class DeviceRunError(Exception):
    """A command on the device failed, timed out or lost its output.

    Attributes:
        output: its standard output until then.
    """

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


class DeviceTimeoutError(DeviceRunError):
    """A command on the device exceeded its time limit, which says nothing about the model file."""


class DeviceLostError(UserError):
    """The connection to the device broke during a command, or its system killed the command.

    Attributes:
        output: the standard output until then.
    """

    def __init__(self, what: str, way_out: str, output: str = "") -> None:
        super().__init__(what, way_out)
        self.output = output
