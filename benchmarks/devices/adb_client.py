"""The adb client of this machine, and the devices that are attached to it."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass

from edgecmp.benchmarks.devices.shell import Answer, call
from edgecmp.errors import UserError, unknown_choice

__all__ = ["Attached", "attached_devices", "call_adb", "choose_device", "require_ready"]

CONNECT_S = 30.0
"""Timeout in seconds for an adb command; adb itself stops connecting after 10."""

FAULTS = {
    "unauthorized": (
        "has not authorised this machine",
        "Unlock its screen, confirm 'Allow USB debugging?' and run the same command again.",
    ),
    "offline": (
        "is offline",
        "Reconnect it (over Wi-Fi: wake it up) until `adb devices` shows it as 'device', then run "
        "the same command again.",
    ),
    "no permissions": (
        "cannot be used without permission",
        "Install the udev rules (on Debian: sudo apt install android-sdk-platform-tools-common) "
        "and reconnect it.",
    ),
    "": (
        "is not running Android (adb shows it as {state!r})",
        "Start Android on it and wait until `adb devices` shows it as 'device'.",
    ),
}
"""By the state that adb reports: what is wrong, and the way out."""

LINES = (
    re.compile(r"(.+?)\s+(no permissions)\b(.*)"),
    re.compile(r"([^\t]+)\t(\S+)(.*)"),
    re.compile(r"(.+?)\s+(\S+)((?:\s+[\w-]+:\S*)*)"),
)
"""Forms of a device in the list: its name, its state, and facts such as model:Pixel_8."""

NO_DEVICE = ("*", "List of devices", "adb server ", "adb: ", "error: ")
"""How lines begin that adb prints about itself, such as that it starts its server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """A device that is attached to adb.

    Attributes:
        serial: its name in adb: a serial number, or host:port over a network.
        state: "device" if it can be used.
        model: name of the model, or empty.
    """

    serial: str
    state: str
    model: str = ""


def call_adb(*arguments: str, timeout_s: float = CONNECT_S) -> Answer:
    """Runs `adb ARGUMENTS`."""
    return call(["adb", *arguments], timeout_s=timeout_s)


def attached_devices() -> list[Attached]:
    """The devices that `adb devices` lists.

    Raises:
        UserError: adb is missing or does not work.
    """
    if shutil.which("adb") is None:
        raise UserError(
            "adb is not installed on this machine.",
            "Install Android's platform tools; on Debian: sudo apt install adb.",
        )
    answer = call_adb("devices", "-l")
    if answer.code != 0:
        lines = answer.stderr.strip().splitlines()
        detail = f" ({lines[-1]})" if lines else ""
        raise UserError(
            f"adb does not answer{detail}.",
            "Run `adb kill-server` and `adb devices`, then run the same command again.",
        )
    return [device for line in answer.stdout.splitlines() if (device := _attached(line))]


def _attached(line: str) -> Attached | None:
    """The device in a line of `adb devices -l`; None for one that lists no device.

    The name of a device may contain spaces, as those of wireless debugging do.
    """
    if line.startswith(NO_DEVICE):
        return None
    match = next((found for form in LINES if (found := form.fullmatch(line.strip()))), None)
    if match is None:
        return None
    model = re.search(r"\bmodel:(\S+)", match[3] or "")
    return Attached(
        serial=match[1], state=match[2], model=model[1].replace("_", " ") if model else ""
    )


def require_ready(device: Attached) -> None:
    """Refuses a device that cannot be used in its present state.

    Raises:
        UserError: the state is not "device".
    """
    if device.state != "device":
        state = "unauthorized" if device.state == "authorizing" else device.state
        fault, way_out = FAULTS.get(state, FAULTS[""])
        raise UserError(f"adb:{device.serial} {fault.format(state=state)}.", way_out)


def choose_device(serial: str) -> str:
    """The serial of the device to use; connects to it if it has a port and is not attached.

    Args:
        serial: as the user gave it; empty for the only attached device.

    Raises:
        UserError: the device is not attached or not usable, or the name is ambiguous.
    """
    devices = _by_serial()
    if not serial and len(devices) > 1:
        names = ", ".join(f"adb:{name}" for name in devices)
        raise UserError(
            f"{len(devices)} Android devices are attached.", f"Name one of them: {names}."
        )
    if ":" in serial and (serial not in devices or devices[serial].state != "device"):
        if serial in devices:  # otherwise adb answers "already connected", and it remains offline
            call_adb("disconnect", serial)
        devices = _connect(serial)
    if not devices:
        raise UserError(
            "No Android device is attached.",
            "Attach one with USB debugging switched on (Settings, Developer options) until "
            "`adb devices` lists it.",
        )
    name = serial or next(iter(devices))
    if name not in devices:
        raise unknown_choice("Android device", f"adb:{name}", [f"adb:{one}" for one in devices])
    require_ready(devices[name])
    return name


def _by_serial() -> dict[str, Attached]:
    return {device.serial: device for device in attached_devices()}


def _connect(serial: str) -> dict[str, Attached]:
    """Connects to a device over the network; returns all attached devices by serial."""
    answer = call_adb("connect", serial)  # its exit code is 0 even if it fails
    devices = _by_serial()
    _, found, reason = answer.stdout.strip().rpartition("\n")[2].rpartition(": ")
    # While adb tries a lost device again by itself, it lists it as offline: the answer knows why.
    if serial not in devices or (found and devices[serial].state == "offline"):
        raise UserError(
            f"adb:{serial} cannot be reached ({reason or 'no answer'}).",
            "Switch on wireless debugging there, or attach it and run `adb tcpip 5555`, until "
            f"`adb connect {shlex.quote(serial)}` connects.",
        )
    return devices
