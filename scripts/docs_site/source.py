"""The package as griffe reads it, without importing it: modules, public names, classes in types."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe

__all__ = [
    "classes_in",
    "documented_fields",
    "fields",
    "found",
    "methods",
    "modules",
    "overrides",
    "package",
]

FIELD_SECTIONS = ("attributes", "parameters")
PYDANTIC_CONFIG = "model_config"


@cache
def package(name: str, folder: Path) -> griffe.Module:
    """The package of that name in a folder, with its sub-packages behind symlinks."""
    loaded = griffe.load(
        name,
        search_paths=[folder],
        try_relative_path=False,
        docstring_parser="google",
        docstring_options={"warnings": False},  # mkdocstrings warns of what it shows
    )
    if not isinstance(loaded, griffe.Module):
        raise TypeError(f"{name} is not a package")
    return loaded


def modules(module: griffe.Module) -> Iterator[griffe.Module]:
    """A module and all modules below it."""
    yield module
    for member in module.members.values():
        if isinstance(member, griffe.Module):
            yield from modules(member)


def found(module: griffe.Module, name: str) -> griffe.Object | None:
    """What a dotted name in a module stands for, wherever it is defined; None if unknown."""
    try:
        member = module[name]
        return member.final_target if isinstance(member, griffe.Alias) else member
    except (KeyError, griffe.GriffeError):
        return None


def classes_in(
    expression: str | griffe.Expr | None, root: griffe.Module
) -> Iterator[griffe.Object]:
    """The classes and type aliases of the package that an annotation names."""
    if not isinstance(expression, griffe.Expr):
        return
    names = [expression, *expression.iterate(flat=True)]
    for part in names:
        if isinstance(part, griffe.ExprName):
            inside, _, name = part.canonical_path.partition(".")
            target = found(root, name) if inside == root.name and name else None
            if target is not None and (target.is_class or target.is_attribute):
                yield target


def methods(cls: griffe.Class) -> list[griffe.Object]:
    """The public methods and properties of a class, those of its private bases included."""
    return [
        member
        for member in _members(cls)
        if member.is_function or (member.is_attribute and "property" in member.labels)
    ]


def fields(cls: griffe.Class) -> list[griffe.Attribute]:
    """The public fields of a class, those of its private bases included."""
    return [
        member
        for member in _members(cls)
        if isinstance(member, griffe.Attribute)
        and "property" not in member.labels
        and member.name != PYDANTIC_CONFIG
    ]


def documented_fields(cls: griffe.Class) -> set[str]:
    """The fields that the docstrings of a class and of its private bases describe."""
    return {
        entry.name
        for part in _with_private_bases(cls)
        for section in (part.docstring.parsed if part.docstring else [])
        if section.kind.value in FIELD_SECTIONS
        for entry in section.value
    }


def _with_private_bases(cls: griffe.Class) -> list[griffe.Class]:
    return [cls, *(base for base in cls.mro() if base.name.startswith("_"))]


def _members(cls: griffe.Class) -> Iterator[griffe.Object]:
    """The public members of a class and of its private bases, each name once."""
    seen = set()
    for part in _with_private_bases(cls):
        for name, member in part.members.items():
            if not name.startswith("_") and name not in seen and isinstance(member, griffe.Object):
                seen.add(name)
                yield member


def overrides(member: griffe.Object) -> bool:
    """Whether a method of a base class has a docstring for it."""
    cls = member.parent
    return isinstance(cls, griffe.Class) and any(
        member.name in base.members and base.members[member.name].has_docstring
        for base in cls.mro()
    )
