"""The reference of the Python API as Markdown: what mkdocstrings is to show, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import griffe

from scripts.docs_site.source import classes_in, fields, found, methods

__all__ = ["api_functions", "api_objects", "functions_page", "objects_page", "top_names"]

WORKFLOW = (
    *("opening", "training", "retrieving", "searching", "exporting", "measuring"),
    *("reproducing", "listing"),
)
"""Modules of the API in the order of their use; further ones follow."""

REPORT_HOOKS = ("heading", "sentences", "shown_columns", "shown_rows", "text", "to_dict", "written")
"""Methods that every report has; they are described once, at `Report`."""


def api_functions(package: griffe.Module) -> list[griffe.Function]:
    """The functions of the API, by module."""
    api = package["api"]
    targets = [found(api, str(name)) for name in api.exports or ()]
    functions = [target for target in targets if isinstance(target, griffe.Function)]
    places = {name: place for place, name in enumerate(WORKFLOW)}
    return sorted(functions, key=lambda f: places.get(f.module.name, len(WORKFLOW)))


def api_objects(package: griffe.Module) -> dict[str, list[griffe.Object]]:
    """The classes and type aliases that the API hands out or takes, by heading.

    Those that a function returns come first, then those that it takes, then those that their
    fields, properties and methods have, without torch's modules.
    """
    functions = api_functions(package)
    returned = _distinct(c for f in functions for c in classes_in(f.returns, package))
    taken = _distinct(
        c for f in functions for p in f.parameters for c in classes_in(p.annotation, package)
    )
    first = _distinct([*returned, *taken])
    parts = _distinct(c for cls in first for c in _neighbours(cls, package))
    named = top_names(package)
    return {
        "What the functions return": [c for c in returned if c not in named],
        "What the functions take": [c for c in taken if c not in [*returned, *named]],
        "Parts of these": [c for c in parts if c not in [*first, *named] and not _is_module(c)],
    }


def functions_page(package: griffe.Module, names: Sequence[str]) -> str:
    """The functions by module, then the other public names.

    Args:
        package: the source.
        names: `edgecmp.__all__`.
    """
    functions = api_functions(package)
    parts = []
    for module in dict.fromkeys(function.module.path for function in functions):
        inside = [function for function in functions if function.module.path == module]
        title = inside[0].module.docstring
        parts.append(f"## {(title.value if title else module).splitlines()[0].rstrip('.')}")
        parts += [_directive(f, f"{package.name}.{f.name}") for f in inside]
    others = [name for name in names if name not in {function.name for function in functions}]
    parts.append("## Types and constants")
    for name in others:
        target = found(package, name)
        if target is not None:
            parts.append(_directive(target, f"{package.name}.{name}"))
    return "\n\n".join(parts)


def objects_page(package: griffe.Module) -> str:
    """The classes of `api_objects`, under the names that they have in their modules."""
    report = found(package, "report.Report")
    parts = ["## The base of all reports", _directive(report, "Report")] if report else []
    for heading, objects in api_objects(package).items():
        parts += [f"## {heading}", *(_directive(target, target.name) for target in objects)]
    return "\n\n".join(parts)


def top_names(package: griffe.Module) -> list[griffe.Object]:
    """What the package itself hands out besides the functions of the API."""
    targets = [found(package, str(name)) for name in package.exports or ()]
    return [target for target in targets if target is not None and not target.is_function]


def _neighbours(cls: griffe.Object, package: griffe.Module) -> Iterator[griffe.Object]:
    """The classes in the types of the fields, properties and methods of a class."""
    if not isinstance(cls, griffe.Class):
        return
    for member in [*fields(cls), *methods(cls)]:
        if isinstance(member, griffe.Function):
            yield from classes_in(member.returns, package)
        elif isinstance(member, griffe.Attribute):
            yield from classes_in(member.annotation, package)


def _is_module(target: griffe.Object) -> bool:
    """Whether a class is a torch module, whose layers are no reference for users."""
    return isinstance(target, griffe.Class) and any(
        str(base).endswith("Module") for base in target.bases
    )


def _distinct(objects: Iterable[griffe.Object]) -> list[griffe.Object]:
    """The objects without repetitions, in order; they compare by identity of their path."""
    return list({target.path: target for target in objects}.values())


def _members(cls: griffe.Class) -> list[str]:
    """The methods and properties that the page shows of a class."""
    is_report = any(base.name == "Report" for base in cls.mro())
    names = [member.name for member in methods(cls)]
    return [name for name in names if not (is_report and name in REPORT_HOOKS)]


def _directive(target: griffe.Object, heading: str) -> str:
    """What mkdocstrings replaces by the documentation of an object."""
    lines = [
        f'<a id="{heading}"></a>',
        "",
        f"::: {target.path}",
        "    options:",
        f"      heading: {heading}",
        f"      toc_label: {heading.rpartition('.')[2]}",
        "      heading_level: 3",
    ]
    if isinstance(target, griffe.Class):
        members = _members(target)
        lines.append(
            f"      members: [{', '.join(members)}]" if members else "      members: false"
        )
        lines.append(f"      inherited_members: {str(bool(members)).lower()}")
    return "\n".join(lines)
