"""Reads TOML and JSON documents from outside and reports the first fault in one sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import read_bytes

__all__ = ["first_fault", "parse_document", "peek_toml", "read_description", "read_toml"]

Model = TypeVar("Model", bound=BaseModel)

MOST_TOML_BYTES = 2**24
"""Descriptions are written by hand; a file that is larger is something else."""


def first_fault(error: ValidationError) -> str:
    """The first fault of a document: "field: reason", or the reason alone if it has no field."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")  # raised by a validator of edgecmp
    if reason == first["msg"]:
        reason = reason[0].lower() + reason[1:]
    return f"{where}: {reason}" if where else reason


def parse_document(
    model: type[Model], document: Any, *, refusal: str, way_out: str, keys_of: Path | None = None
) -> Model:
    """The document as an instance of the model.

    Args:
        model: the pydantic model that the document must satisfy.
        document: the parsed JSON or TOML.
        refusal: the error's first sentence up to the reason, such as
            "photos.toml does not describe a data set".
        way_out: the error's second sentence: what to do.
        keys_of: the file, if a person wrote it: the error for an unknown key then suggests the
            nearest key of the model.

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
    except (RecursionError, OverflowError) as error:
        raise UserError(f"{refusal}: a value is nested too deep or too large.", way_out) from error


def read_toml(path: Path, *, what: str, way_out: str) -> dict[str, Any]:
    """Reads a TOML file that a person wrote.

    Args:
        path: the file.
        what: what it should be, for errors: "a description of a data set".
        way_out: the error's second sentence: what to do.

    Raises:
        UserError: the file is missing, unreadable or not TOML.
    """
    content = read_bytes(path, what=what, limit=MOST_TOML_BYTES)
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} cannot be read as {what}: {error}.", way_out) from error
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of 5,000 digits
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{path} cannot be read as {what}: {reason}.", way_out) from error


def read_description(
    model: type[Model], file: Path, *, what: str, way_out: str, paths: Sequence[str]
) -> Model:
    """Reads a TOML description; the paths in it are returned relative to the working directory.

    Args:
        model: the pydantic model of the description.
        file: the .toml file.
        what: what it describes, for errors: "a data set".
        way_out: the error's second sentence: what to do.
        paths: the fields that hold paths relative to the file; those that are None stay None.

    Raises:
        UserError: the file is not TOML, or a key is missing, unknown or wrong.
    """
    described = parse_document(
        model,
        read_toml(file, what=f"a description of {what}", way_out=way_out),
        refusal=f"{file} does not describe {what}",
        way_out=way_out,
        keys_of=file,
    )
    found = {name: getattr(described, name) for name in paths}
    return described.model_copy(
        update={name: file.parent / path for name, path in found.items() if path is not None}
    )


def peek_toml(path: Path) -> dict[str, Any]:
    """The keys of a TOML file, to find out what it describes; empty if it cannot be read.

    The function that then reads the file reports why it cannot be read.
    """
    try:
        return read_toml(path, what="a description", way_out="")
    except UserError:
        return {}
