"""Documents from outside: TOML and JSON checked by pydantic models, faults in one sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edgecmp.errors import UserError, unknown_choice

__all__ = ["first_fault", "parse_document", "peek_toml", "read_toml"]

Model = TypeVar("Model", bound=BaseModel)


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong: "field: reason", or the reason alone where none is named."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")  # what a validator of ours raised
    if reason == first["msg"]:
        reason = reason[0].lower() + reason[1:]
    return f"{where}: {reason}" if where else reason


def parse_document(
    model: type[Model], document: Any, *, refusal: str, way_out: str, keys_of: Path | None = None
) -> Model:
    """The document as an instance of the model.

    Args:
        model: what the document must be.
        document: as it was read.
        refusal: the sentence for a document that is none, up to the reason:
            "photos.toml does not describe a data set".
        way_out: the sentence about what to do then.
        keys_of: the file that a person wrote; a key that the model lacks is then answered with the
            nearest one.

    Raises:
        UserError: the document does not satisfy the model.
    """
    if keys_of is not None and isinstance(document, Mapping):
        for key in document:
            if key not in model.model_fields:
                raise unknown_choice("key", key, model.model_fields, where=str(keys_of))
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{refusal}: {first_fault(error)}.", way_out) from error


def read_toml(path: Path, *, what: str, way_out: str) -> dict[str, Any]:
    """Reads a TOML file that a person wrote.

    Args:
        path: the file.
        what: what it should be, in errors: "a description of a data set".
        way_out: the sentence about what to do if it is not.

    Raises:
        UserError: the file is missing, unreadable or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} cannot be read as {what}: {error}.", way_out) from error


def peek_toml(path: Path) -> dict[str, Any]:
    """The keys of a TOML file, to tell what it describes; empty if it cannot be read.

    Whoever then opens the file reports why it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}
