"""The JSON document of a latency table, with a schema for other programs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt

from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import SEAL, seal_of

__all__ = ["FIELDS", "FORMAT", "parse_table", "table_schema"]

FORMAT = "edgecmp-latency-table/1"

PositiveFinite = Annotated[FiniteFloat, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Entry(_Strict):
    """One distinct layer: all layers of a stage with the same stride have the same channels."""

    stage: int = Field(ge=0, le=3)
    stride: Literal[1, 2]
    block: Literal["shuffle3", "shuffle5", "shuffle7", "xception"]
    width: int = Field(ge=0, le=9, description="index i: a factor of 0.2 (i + 1)")
    ms: PositiveFinite = Field(description="of the layer alone, in a separate file")


class _Network(_Strict):
    """A complete network that scale and bias were fitted to."""

    architecture: dict[str, Any]
    measured_ms: PositiveFinite
    predicted_ms: FiniteFloat


class _Errors(_Strict):
    """Errors of the predicted latencies of complete networks, in percent."""

    nets: PositiveInt
    mape: float
    max_error: float
    within_5: float
    within_10: float
    tau: float | None


class _Check(_Errors):
    """The result of the last `edgecmp latency check`."""

    at_todays_speed: _Errors = Field(description="the same, corrected by slowdown")
    slowdown: float = Field(description="of the device since the table was built")
    date: str


class _Table(_Strict):
    """Latency = scale * (stem + head - overhead + sum of (entry - overhead)) + bias, in ms."""

    format: Literal["edgecmp-latency-table/1"]
    tier: Literal["330M", "230M", "100M"]
    input_size: PositiveInt = Field(description="side of the image, in pixels")
    embedding_dim: PositiveInt
    precision: Literal["fp32", "int8"]
    device: str = Field(description="as given to --device")
    facts: dict[str, Any] = Field(description="what the device reports")
    target: Literal["tflite"]
    runtime: Literal["litert", "tflite-runtime", "benchmark_model"]
    version: str = Field(description="of the runtime")
    delegate: str = Field(description="implementation of the operators")
    threads: PositiveInt
    lowering: str = Field(description="fingerprint of the lowering when the table was built")
    statistic: str = Field(description="how many runs were reduced to one time")
    date: str = Field(description="ISO 8601, UTC")
    entries_ms: list[_Entry]
    stem_ms: PositiveFinite
    head_ms: PositiveFinite
    overhead_ms: PositiveFinite = Field(
        description="of a file that computes almost nothing; in each time"
    )
    scale: PositiveFinite
    bias_ms: FiniteFloat
    calibration: list[_Network]
    check: _Check | None
    provenance: dict[str, str]
    content_sha256: str | None = Field(
        None, description="SHA-256 of all other fields; tables of earlier versions have none"
    )


FIELDS = tuple(name for name in _Table.model_fields if name not in ("format", SEAL))
"""The fields of a table, in the order of the document."""


def parse_table(document: Any, *, source: str) -> dict[str, Any]:
    """Checks that a document is a latency table and returns it.

    Raises:
        UserError: it is not; the message names `source` and the first wrong field.
    """
    table = parse_document(
        _Table,
        document,
        refusal=f"{source} is not a latency table of this edgecmp",
        way_out="Build one with `edgecmp latency build --device local --out table.json`.",
    )
    if table.content_sha256 not in (None, seal_of(document)):
        raise UserError(
            f"{source} was changed after it was written.",
            "Copy the table again, or build it again with `edgecmp latency build`.",
        )
    return table.model_dump()


def table_schema() -> dict[str, Any]:
    """The JSON schema of a latency table."""
    schema = _Table.model_json_schema()
    schema["title"], schema["$schema"] = FORMAT, "https://json-schema.org/draft/2020-12/schema"
    return schema
