"""Finds public names without documentation; the build of the site fails on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import griffe

from scripts.docs_site.source import (
    documented_fields,
    fields,
    found,
    methods,
    modules,
    overrides,
)

__all__ = ["undocumented"]


def undocumented(
    package: griffe.Module, *, functions: Iterable[griffe.Object], shown: Iterable[griffe.Object]
) -> Iterator[str]:
    """One sentence per fault.

    Every module needs a docstring, and so do the classes and functions in any `__all__`, and the
    public methods and properties of such classes, unless the method overrides a documented one. A
    section "Args:" names exactly the parameters.

    Args:
        package: what is searched.
        functions: the public API, whose every parameter is described: in "Args:" or by its name in
            backticks.
        shown: the classes and constants on the reference's pages: constants need a docstring, and
            every field of a class is described.
    """
    for module in modules(package):
        if not module.has_docstring:
            yield f"{module.path} has no docstring."
        for export in module.exports or ():
            member = found(module, str(export))
            if member is not None and member.parent is module:
                yield from _without(member)
    for function in functions:
        yield from _parameters(function)
    for target in shown:
        if isinstance(target, griffe.Class):
            yield from _fields(target)
        elif not target.has_docstring:
            yield f"{target.path} has no docstring."


def _without(member: griffe.Object) -> Iterator[str]:
    """Faults of a class or function in an `__all__`."""
    if not isinstance(member, griffe.Class | griffe.Function):
        return
    if not member.has_docstring:
        yield f"{member.path} has no docstring."
    inside = methods(member) if isinstance(member, griffe.Class) else []
    for part in inside:
        if not part.has_docstring and not overrides(part):
            yield f"{part.path} has no docstring."
    for function in (member, *inside):
        if isinstance(function, griffe.Function):
            yield from _arguments(function)


def _names(function: griffe.Function) -> list[str]:
    """The parameters that a caller gives."""
    names = [parameter.name for parameter in function.parameters]
    is_method = isinstance(function.parent, griffe.Class)
    return names[1:] if is_method and "staticmethod" not in function.labels else names


def _described(function: griffe.Function) -> list[str]:
    """The parameters that the section "Args:" describes."""
    sections = function.docstring.parsed if function.docstring else []
    return [
        entry.name.lstrip("*")
        for section in sections
        if section.kind is griffe.DocstringSectionKind.parameters
        for entry in section.value
    ]


def _arguments(function: griffe.Function) -> Iterator[str]:
    """Faults of the section "Args:", where there is one."""
    described, names = _described(function), _names(function)
    if described:
        for name in names:
            if name not in described:
                yield f'{function.path} does not describe its parameter {name} in "Args:".'
        for name in described:
            if name not in names:
                yield f'{function.path} describes {name} in "Args:" and has no such parameter.'


def _parameters(function: griffe.Object) -> Iterator[str]:
    """Parameters that a function of the API describes nowhere."""
    if not isinstance(function, griffe.Function):
        return
    if function.docstring is None:
        yield f"{function.path} has no docstring."
        return
    for name in _names(function):
        if name not in _described(function) and f"`{name}`" not in function.docstring.value:
            yield f"{function.path} does not describe its parameter {name}."


def _fields(cls: griffe.Class) -> Iterator[str]:
    """Fields that a class on the reference's pages describes nowhere."""
    described = documented_fields(cls)
    for field in fields(cls):
        if field.name not in described and not field.has_docstring:
            yield f'{cls.path} does not describe its field {field.name} in "Attributes:".'
