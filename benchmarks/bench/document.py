"""Reading what `edgecmp bench --json` wrote, before any value in it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import read_json

__all__ = ["FORMAT", "read_bench"]

FORMAT = "edgecmp-bench/2"
FAMILY = "edgecmp-bench/"

Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Row(BaseModel):
    """What comparisons and resumed benches read of a row."""

    file: str
    sha256: str
    runtime: str
    version: str | None
    threads: int | None
    input_shape: str | None
    governor: str | None
    statistic: str | None
    verdict: str
    p50_ms: Milliseconds | None
    p90_ms: Milliseconds | None
    last_window_ms: Milliseconds | None = None


class _Device(BaseModel):
    name: str


class _Settings(BaseModel):
    mode: str
    minutes: float
    input_size: list[int] | None


class _Provenance(BaseModel):
    command: str


class _Bench(BaseModel):
    complete: bool
    rows: list[_Row]
    device: _Device
    settings: _Settings
    provenance: _Provenance


def read_bench(path: Path) -> dict[str, Any]:
    """The document of a bench, complete or interrupted.

    Raises:
        UserError: the file is missing, is no bench, is of another version or lacks a value.
    """
    document = read_json(path, what="a bench")
    given = document.get("format")
    if given != FORMAT:
        if isinstance(given, str) and given.startswith(FAMILY):
            raise UserError(
                f"{path} has the format {given}, but this edgecmp reads {FORMAT}.",
                "Measure it again with this edgecmp.",
            )
        raise UserError(
            f"{path} is not a bench in the format {FORMAT}.",
            "Name a file that `edgecmp bench --json` wrote.",
        )
    parse_document(
        _Bench,
        document,
        refusal=f"{path} is not a complete document of a bench",
        way_out="Name a file that `edgecmp bench --json` wrote and that was not changed.",
    )
    return document
