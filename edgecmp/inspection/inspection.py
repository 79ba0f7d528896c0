"""Inspection: what is known about one artefact, and the checks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Check", "Inspection", "made_by", "size_facts", "weight_facts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A condition on an artefact; the verdict is "unknown" if it cannot be determined."""

    name: str
    verdict: Literal["ok", "failed", "unknown"]
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What is known about one artefact.

    Attributes:
        path: as the user gave it.
        what: the kind of artefact, in words.
        facts: values by name, in the order of display; hashes in full.
        checks: the conditions that were checked.
    """

    path: str
    what: str
    facts: Mapping[str, Any]
    checks: tuple[Check, ...] = field(default=())

    @property
    def sound(self) -> bool:
        """Whether no check failed."""
        return all(check.verdict != "failed" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {"sound": self.sound, **asdict(self)}


def size_facts(path: Path) -> dict[str, int]:
    """Bytes and number of files of a file or folder."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return {"bytes": sum(file.stat().st_size for file in files), "files": len(files)}


def weight_facts(counts: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
    """Weights by type, the largest share first.

    Args:
        counts: number of values and number of bytes of each type.
    """
    return {
        kind: {"values": values, "bytes": size}
        for kind, (values, size) in sorted(counts.items(), key=lambda entry: -entry[1][1])
    }


def made_by(provenance: Mapping[str, str]) -> dict[str, Any]:
    """The versions and the command that an artefact was made by."""
    versions = {name: value for name, value in provenance.items() if name != "command"}
    return {"versions": versions, "command": provenance.get("command")}
