"""InspectReport: inspections as people and programs read them."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgecmp.inspection.inspection import Inspection
from edgecmp.report import PIPED_WIDTH, Report, key_values

__all__ = ["InspectReport", "Unreadable"]

MARKS = {"ok": "ok", "failed": "FAILED", "unknown": "unknown"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A path that could not be inspected.

    Attributes:
        path: as the user gave it.
        error: why, in a sentence.
    """

    path: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {"path": self.path, "error": self.error}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class InspectReport(Report):
    """What was found at each path.

    Attributes:
        artefacts: one `Inspection` per path in the order of the paths, or `Unreadable`.
    """

    artefacts: tuple[Inspection | Unreadable, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per path; an unreadable one has the key "error"."""
        return [artefact.to_dict() for artefact in self.artefacts]

    @property
    def errors(self) -> list[str]:
        """Why paths could not be read."""
        return [found.error for found in self.artefacts if isinstance(found, Unreadable)]

    @property
    def sound(self) -> bool:
        """Whether no check failed."""
        return all(found.sound for found in self.artefacts if isinstance(found, Inspection))

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {"artefacts": self.rows}

    def text(self, width: int) -> str:
        """One block per path that could be read."""
        return "\n\n".join(
            _text(found) for found in self.artefacts if isinstance(found, Inspection)
        )

    def _repr_html_(self) -> str:
        """The same for a notebook, and what could not be read."""
        lines = "\n".join((self.text(PIPED_WIDTH), *self.errors))
        return f"<pre>{html.escape(lines)}</pre>"


def _text(found: Inspection) -> str:
    """An inspection as text."""
    facts = {
        key: SHOWN[key](value) if key in SHOWN else value for key, value in found.facts.items()
    }
    checks = {
        check.name: f"{MARKS[check.verdict]}{': ' if check.detail else ''}{check.detail}"
        for check in found.checks
    }
    parts = [found.path, key_values({"what": found.what, **facts}, indent=2)]
    if checks:
        parts += ["  checks", key_values(checks, indent=4)]
    return "\n".join(parts)


def _bytes(count: int) -> str:
    return f"{count / 1e6:.3f} MB" if count >= 1e5 else f"{count:,} bytes"


def _size(size: dict[str, int]) -> str:
    files = f" in {size['files']} files" if size["files"] != 1 else ""
    return _bytes(size["bytes"]) + files


def _weights(weights: dict[str, dict[str, int]]) -> str:
    return ", ".join(
        f"{part['values']:,} {kind} ({_bytes(part['bytes'])})" for kind, part in weights.items()
    )


def _operators(operators: dict[str, int]) -> str:
    kinds = ", ".join(f"{count} {name}" for name, count in operators.items())
    return f"{sum(operators.values())}: {kinds}"


def _preprocessing(document: dict[str, Any]) -> dict[str, Any]:
    """The fields in one order, whatever order the file has."""
    first = ("input_size", "mean", "std", "background")
    return {key: document[key] for key in (*first, *sorted({*document} - {*first}))}


SHOWN: dict[str, Callable[[Any], object]] = {
    "preprocessing": _preprocessing,
    "size": _size,
    "weights": _weights,
    "operators": _operators,
}
"""How structured facts are shown."""
