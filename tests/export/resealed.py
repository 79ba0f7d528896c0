"""Faults that are planted in exported files: their seal must hold, or nothing else is looked at."""

from __future__ import annotations

from pathlib import Path

from edgecmp.integrity import SEAL, UNSEALED, seal

__all__ = ["reseal"]


def reseal(path: Path) -> Path:
    """Seals a file or package again after it was changed."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    (file,) = [file for file in files if SEAL.search(file.read_bytes())]
    content = bytearray(file.read_bytes())
    match = SEAL.search(content)
    assert match is not None
    content[match.start(1) : match.end(1)] = UNSEALED.encode()
    file.write_bytes(content)
    seal(path)
    return path
