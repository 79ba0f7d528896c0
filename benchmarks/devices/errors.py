"""The errors that may occur while a device runs a command."""

from __future__ import annotations

from edgecmp.errors import UserError

__all__ = ["DeviceKilledError", "DeviceLostError", "DeviceRunError", "DeviceTimeoutError"]


class DeviceRunError(Exception):
    """A command on the device failed, timed out or lost its output.

    Attributes:
        output: its standard output until then.
        code: its exit code as a shell has it (128 + the signal that ended it), if it has one.
    """

    def __init__(self, reason: str, output: str = "", code: int | None = None) -> None:
        super().__init__(reason)
        self.output = output
        self.code = code


class DeviceTimeoutError(DeviceRunError):
    """A command on the device exceeded its time limit, which says nothing about the model file."""


class DeviceLostError(UserError):
    """The connection to the device broke during a command.

    Attributes:
        output: the standard output until then.
    """

    def __init__(self, what: str, way_out: str, output: str = "") -> None:
        super().__init__(what, way_out)
        self.output = output


class DeviceKilledError(DeviceLostError):
    """The device's system killed the command, which usually means that its memory is full."""
