"""How a device is named: `local`, `adb:SERIAL`, `ssh://user@host:22`, `coreml:NAME`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from edgecmp.errors import UserError, unknown_choice

__all__ = ["DeviceSpec", "local_path"]

EXAMPLES = ("local", "adb:SERIAL", "ssh://user@host", "coreml:NAME")
WITHOUT_ADDRESS = ("local", "adb")
"""Kinds that need no address: this machine, and the only device that is attached to adb."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceSpec:
    """The parts of a device's name.

    Attributes:
        text: as the user gave it.
        kind: "local", "adb", "ssh" or "coreml".
        address: a serial number, user@host:port or a name; empty for local, and for adb if it means
            the only attached device.
        options: those after the question mark, as in `ssh://pi@board?python=/opt/py/bin/python3`.
    """

    text: str
    kind: str
    address: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, options: Mapping[str, Collection[str]]) -> DeviceSpec:
        """Parses a name.

        Args:
            text: the value of `--device`.
            options: by kind of device, the options that it supports.

        Raises:
            UserError: the kind of device or the option is unknown, or the address or the value of
                an option is missing.
        """
        if not text.isprintable():
            raise UserError(
                f"The device {text[:80]!r} contains a control character.",
                f"Write it like {', '.join(EXAMPLES)}.",
            )
        name, _, query = text.partition("?")
        kind, colon, address = name.partition(":")
        alone = kind in WITHOUT_ADDRESS and not colon
        if kind not in options or not (colon or alone) or (colon and kind == "local"):
            raise unknown_choice("device", text, EXAMPLES)
        if kind == "ssh":
            if not address.startswith("//"):
                raise unknown_choice("device", text, EXAMPLES)
            address = address[2:].rstrip("/")
        if not address and not alone:
            raise UserError(
                f"The device {text} has no address.", f"Write it like {', '.join(EXAMPLES[1:])}."
            )
        chosen: dict[str, str] = {}
        for option, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
            if option not in options[kind]:
                if not options[kind]:
                    raise UserError(
                        f"The device {name} has no options (got ?{option}).", f"Write {name}."
                    )
                raise unknown_choice(f"option of {kind}", option, options[kind])
            if not value or option in chosen or not value.isprintable():
                fault = "is given twice" if option in chosen else "has no value"
                raise UserError(
                    f"The option ?{option} of {name} {fault}.", f"Write it once: ?{option}=VALUE."
                )
            chosen[option] = value
        return cls(text=text, kind=kind, address=address, options=chosen)


def local_path(text: str) -> Path:
    """A path on this machine in an option; `~` is the home folder, as in a shell."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # the home of a user that does not exist
        return Path(text)
