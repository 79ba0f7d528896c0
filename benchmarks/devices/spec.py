"""How a device is named: `local`, `adb:SERIAL`, `ssh://user@host:22`, `coreml:NAME`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from edgecmp.errors import UserError, unknown_choice

__all__ = ["DeviceSpec"]

EXAMPLES = ("local", "adb:SERIAL", "ssh://user@host", "coreml:NAME")
WITHOUT_ADDRESS = ("local", "adb")
"""Kinds that may stand alone: this machine, and the only device that adb has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceSpec:
    """A device's name, taken apart.

    Attributes:
        text: as the user gave it.
        kind: "local", "adb", "ssh" or "coreml".
        address: what follows the kind: a serial, user@host:port, a name; empty for local, and for
            adb alone, which is the only attached device.
        options: what follows a question mark, as in `ssh://pi@board?python=/opt/py/bin/python3`.
    """

    text: str
    kind: str
    address: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, options: Mapping[str, Collection[str]]) -> DeviceSpec:
        """Takes a name apart.

        Args:
            text: what stands behind `--device`.
            options: for each kind of device, the options it knows.

        Raises:
            UserError: there is no such kind of device or option, or no address.
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
            raise UserError(f"{text!r} names no device.", f"Write it like {EXAMPLES[1:]}.")
        chosen = dict(parse_qsl(query, keep_blank_values=True))
        for option in chosen:
            if option not in options[kind]:
                if not options[kind]:
                    raise UserError(f"{kind} has no options, so not {option!r}.", f"Write {name}.")
                raise unknown_choice(f"option of {kind}", option, options[kind])
        return cls(text=text, kind=kind, address=address, options=chosen)
