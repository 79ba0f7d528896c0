"""Where `ssh://user@host:port` leads to: its parts, checked before they reach the ssh client."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

from edgecmp.errors import UserError

__all__ = ["SshAddress"]

EXAMPLE = "Write it like ssh://user@host:22 or ssh://user@[::1]:22."


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A user, host and port; user and port may be left to the ssh configuration.

    Attributes:
        host: a name of DNS or of the ssh configuration, or an IP address without brackets.
        user: the user there, or empty.
        port: of its sshd, or None.
    """

    host: str
    user: str = ""
    port: int | None = None

    @classmethod
    def parse(cls, address: str) -> SshAddress:
        """Parses what follows `ssh://`.

        Raises:
            UserError: a part is missing or impossible; it is named.
        """
        user, at, place = address.rpartition("@")
        user = unquote(user)
        if ":" in user:
            raise UserError(
                f"The address ssh://...@{place} contains a password.",
                "Leave it out: ssh uses your key, which ssh-copy-id installs there.",
            )
        host, port = _split(place)
        for what, part in (("user name", user), ("host name", host)):
            if part.startswith("-") or re.search(r"[\s/@]", part):
                raise UserError(f"The {what} {part!r} in ssh://{address} is impossible.", EXAMPLE)
        if not host or (at and not user):
            missing = "user name" if host else "host name"
            raise UserError(f"The address ssh://{address} has no {missing}.", EXAMPLE)
        return cls(host, user, port)

    @property
    def destination(self) -> str:
        """The user and host, as the ssh client reads them."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def words(self) -> list[str]:
        """The arguments of the ssh client."""
        return [*([] if self.port is None else ["-p", str(self.port)]), self.destination]


def _split(place: str) -> tuple[str, int | None]:
    """Host and port of `host`, `host:22`, `[::1]` or `[::1]:22`."""
    if match := re.fullmatch(r"\[(.*)\](?::(.*))?", place):
        host, port = unquote(match[1]), match[2]
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise UserError(f"{match[1]!r} is not an IPv6 address.", EXAMPLE) from error
        return host, None if port is None else _port(port)
    if place.count(":") > 1:
        raise UserError(
            f"The IPv6 address in ssh://{place} has no brackets.",
            "Write ssh://user@[::1] or, with a port, ssh://user@[::1]:22.",
        )
    host, colon, port = place.partition(":")
    return host, _port(port) if colon else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise UserError(f"The port of ssh must be from 1 to 65535 (got {text[:20]!r}).", EXAMPLE)
    return int(text)
