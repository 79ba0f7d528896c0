"""toml_of: a recipe's document as TOML, which reads back to the same values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["toml_of"]


def toml_of(document: Mapping[str, Any], *, table: str = "") -> str:
    """The text of a document, whose None values are left out, since TOML has none.

    Args:
        document: tables, lists of tables, and lists of numbers, texts, true and false.
        table: the table that the document is; by default it is the whole file.
    """
    return "\n".join(_lines(document, (table,) if table else ())) + "\n"


def _lines(document: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """The plain values first, as TOML requires, then the tables."""
    tables = {key: value for key, value in document.items() if _is_table(value)}
    plain = {k: v for k, v in document.items() if k not in tables and v is not None}
    if path and (plain or not tables):
        yield f"[{_name(path)}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in tables.items():
        place = (*path, key)
        for part in value if isinstance(value, list) else ():
            yield ""
            yield f"[[{_name(place)}]]"
            yield from (f"{_key(k)} = {json.dumps(v, ensure_ascii=False)}" for k, v in part.items())
        if isinstance(value, Mapping):
            inner = list(_lines(value, place))
            yield from ("", *inner) if inner and inner[0] else inner


def _is_table(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], Mapping)
    return isinstance(value, Mapping)


def _name(path: tuple[str, ...]) -> str:
    return ".".join(map(_key, path))


def _key(key: str) -> str:
    """A bare key, or a quoted one: "100M" is bare, "a b" is not."""
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else json.dumps(key)
