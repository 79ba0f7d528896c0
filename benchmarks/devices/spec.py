"""How a device is named: `local`, `adb:SERIAL`, `ssh://user@host:22`, `coreml:NAME`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from edgecmp.errors import UserError, unknown_choice

__all__ = ["DeviceSpec"]

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
            UserError: the kind of device or the option is unknown, or the address is missing.
        """
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
        chosen = dict(parse_qsl(query, keep_blank_values=True))
        for option in chosen:
            if option not in options[kind]:
                if not options[kind]:
                    raise UserError(
                        f"The device {name} has no options (got ?{option}).", f"Write {name}."
                    )
                raise unknown_choice(f"option of {kind}", option, options[kind])
        return cls(text=text, kind=kind, address=address, options=chosen)
