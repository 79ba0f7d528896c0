"""changed: a recipe with the fields that a document names, checked against their types and ranges.

A document is what TOML or JSON makes of tables: `{"input_size": 112, "schedule": {"epochs": 20}}`.
A table changes the named fields of a field that is a dataclass and leaves the others; a list
replaces the whole field.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from edgecmp.documents import first_fault
from edgecmp.errors import UserError, unknown_choice
from edgecmp.training.augment import AUGMENTATIONS, Augmentation
from edgecmp.training.methods import METHODS, Method

__all__ = ["changed"]

AnyRecipe = TypeVar("AnyRecipe")

WAY_OUT = "Correct it; `edgecmp recipes show photos` prints complete recipes."


def changed(
    kind: type[AnyRecipe],
    base: AnyRecipe | None,
    document: Mapping[str, Any] | str,
    *,
    source: str,
) -> AnyRecipe:
    """The recipe that a document describes.

    Args:
        kind: of the recipe, a dataclass.
        base: what the document changes; None: the document names every field without a default.
        document: fields by name; of an augmentation also its name.
        source: for errors: the file that the document is from, or the option ("--epochs 0").

    Raises:
        UserError: a field is unknown or missing, or a value has another type or is out of range.
    """
    found: AnyRecipe = _table(kind, base, document, source, ())
    return found


def _table(kind: type[Any], base: Any, document: Any, source: str, path: tuple[str, ...]) -> Any:
    """An instance of the dataclass `kind`, from the table at `path`."""
    if kind is Augmentation and isinstance(document, str):
        if document not in AUGMENTATIONS:
            raise unknown_choice("augmentation", document, AUGMENTATIONS, where=source)
        return AUGMENTATIONS[document]
    if not isinstance(document, Mapping):
        raise _wrong(source, path, "input should be a table")
    if kind is Method:
        kind, document = _method(document, source, path)
    hints, settable = _fields(kind)
    for name in document:
        if name not in settable:
            raise _unknown(name, {key: hints[key] for key in settable}, source, path)
    values = {
        name: _value(hints[name], getattr(base, name, None), value, source, (*path, name))
        for name, value in document.items()
    }
    if base is not None:
        return replace(base, **values)
    if missing := [name for name in settable if name not in values and settable[name]]:
        raise UserError(
            f"{source} lacks {'.'.join((*path, missing[0]))}.",
            'Add it, or name the recipe that the file changes: base = "photos".',
        )
    return kind(**values)


def _value(hint: Any, base: Any, value: Any, source: str, path: tuple[str, ...]) -> Any:
    """The value of a field whose type is `hint`."""
    hint = _without_none(hint)
    if _is_table(hint):
        return _table(hint, base, value, source, path)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple and _is_table(inner[0]):
        if not isinstance(value, list | tuple):
            raise _wrong(source, path, "input should be a list of tables")
        return tuple(
            _table(inner[0], None, part, source, (*path, str(index + 1)))
            for index, part in enumerate(value)
        )
    if origin in (dict, Mapping) and _is_table(inner[1]):
        return {
            name: _table(inner[1], None, part, source, (*path, name))
            for name, part in value.items()
        }
    try:
        _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise _wrong(source, path, first_fault(error)) from error
    return value  # a whole number stays one, so that the same recipe has the same document


def _method(
    document: Mapping[str, Any], source: str, path: tuple[str, ...]
) -> tuple[type[Method], Mapping[str, Any]]:
    """The class of a method by its "name", and its settings."""
    name = document.get("name")
    if not isinstance(name, str):
        raise _wrong(source, (*path, "name"), "it is missing, or not the name of a method")
    if name not in METHODS:
        raise unknown_choice("method", name, METHODS, where=source)
    return METHODS[name], {key: value for key, value in document.items() if key != "name"}


def _fields(kind: type[Any]) -> tuple[dict[str, Any], dict[str, bool]]:
    """The types of a dataclass's fields, and which of them have no default."""
    needed = {
        field.name: field.default is MISSING and field.default_factory is MISSING
        for field in fields(kind)
        if field.init
    }
    return get_type_hints(kind, include_extras=True), needed


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config={"strict": True})


def _is_table(hint: Any) -> bool:
    """Whether a type is a dataclass, whose values are tables of a document."""
    return isinstance(hint, type) and is_dataclass(hint)


def _without_none(hint: Any) -> Any:
    """The type of a field that may be None, which a document cannot say."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (one for one in get_args(hint) if one is not types.NoneType)
    return hint


def _unknown(name: str, hints: Mapping[str, Any], source: str, path: tuple[str, ...]) -> UserError:
    """The error for a key that the table at `path` does not have."""
    place = f"{source}, {'.'.join(path)}" if path else source
    for table, hint in hints.items():
        inner = _without_none(hint)
        if _is_table(inner) and name in _fields(inner)[1]:
            below = ".".join((*path, table))
            return UserError(
                f"Unknown key {name!r} in {place}.",
                f"It is a setting of the table {below}: write it below a line [{below}].",
            )
    return unknown_choice("key", name, hints, where=place)


def _wrong(source: str, path: tuple[str, ...], reason: str) -> UserError:
    what = source if source.startswith("--") else f"{'.'.join(path)} in {source}"
    return UserError(f"{what} cannot be used: {reason}.", WAY_OUT)
