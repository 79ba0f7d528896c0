"""Imports point one way: from the command line down to the ground, and never in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "edgecmp": ROOT / "edgecmp",
    "edgecmp.search": ROOT / "search",
    "edgecmp.export": ROOT / "export",
    "edgecmp.benchmarks": ROOT / "benchmarks",
    "scripts": ROOT / "scripts",
}

GROUND = {
    "caged",
    "decoding",
    "documents",
    "errors",
    "files",
    "integrity",
    "kept",
    "numpy_file",
    "plotting",
    "preprocessing",
    "progress",
    "quiet",
    "printable",
    "report",
    "storage",
    "version",
    "wording",
}
"""Modules that everything may import; together they are one room."""

LAYERS = (
    {"ground"},
    {"losses", "metrics"},
    {"data"},
    {"networks"},
    {"artefacts", "kit"},
    {"gallery"},
    {"evaluation", "initialising", "inspection"},
    {"export", "pruning", "search", "training"},
    {"benchmarks", "road"},
    {"api"},
    {""},  # `edgecmp` itself, which hands out the API
    {"scripts"},
    {"cli"},
    {"__main__", "docs_site"},
)
"""The rooms, from the ground up. A room imports itself and rooms of lower layers only."""

LAYER = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> dict[str, Path]:
    """The file of each module of the project."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            inside = path.relative_to(folder)
            if package == "edgecmp" and f"edgecmp.{inside.parts[0]}" in FOLDERS:
                continue  # through the symlink
            name = ".".join((package, *inside.with_suffix("").parts)).removesuffix(".__init__")
            found[name] = path
    return found


def imports(name: str, source: str, known: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(module, name taken from it) of each import in a source that is ours, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative path."
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                if module in known:
                    yield module, ""
                elif node.module in known:
                    yield str(node.module), alias.name
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in known)


def room(module: str) -> str:
    """The part of a module's name that decides its layer."""
    first, *rest = module.split(".")
    name = rest[0] if rest else ""
    if first == "scripts":  # only the site documents the command line; no other script imports it
        name = "docs_site" if name == "docs_site" else "scripts"
    return "ground" if name in GROUND else name


def faults(sources: Mapping[str, str]) -> list[str]:
    """What breaks the rule, a line each."""
    found = []
    graph = {}
    for name, source in sources.items():
        targets = set()
        for target, taken in imports(name, source, sources):
            targets.add(target)
            mine, other = room(name), room(target)
            if mine != other and LAYER[other] >= LAYER[mine]:
                found.append(f"{name} imports {target}: {other} is not below {mine}")
            if taken.startswith("_") and not taken.startswith("__"):
                found.append(f"{name} imports the private {taken} of {target}")
        graph[name] = targets - {name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"circle: {' -> '.join(error.args[1])}")
    return found


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {name: path.read_text() for name, path in modules().items()}


def test_imports_point_down(sources: dict[str, str]) -> None:
    assert set(map(room, sources)) <= set(LAYER)
    assert faults(sources) == []


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        (
            "edgecmp.networks.query",
            "from edgecmp.search.space import flops",
            "edgecmp.networks.query imports edgecmp.search.space.flops: search is not below",
        ),
        (
            "edgecmp.search.run",
            "def late() -> None:\n    import edgecmp.export.run",
            "edgecmp.search.run imports edgecmp.export.run: export is not below search",
        ),
        (
            "edgecmp.benchmarks.studies.loading",
            "from edgecmp.cli import app",
            "edgecmp.benchmarks.studies.loading imports edgecmp.cli.app: cli is not below",
        ),
        (
            "edgecmp.search.run",
            "from edgecmp.search.loop import _secret",
            "edgecmp.search.run imports the private _secret of edgecmp.search.loop",
        ),
        (
            "edgecmp.errors",
            "from edgecmp.files import read_json",
            "circle: ",
        ),
    ],
)
def test_a_planted_import_is_found(
    sources: dict[str, str], module: str, line: str, fault: str
) -> None:
    found = faults(sources | {module: f"{sources[module]}\n{line}\n"})
    assert found[0].startswith(fault)


def test_the_picture_of_contributing_shows_the_layers() -> None:
    picture = (ROOT / "docs" / "images" / "layers.svg").read_text()
    shown = re.findall(r'<text x="68" y="\d+">([^<]+)</text>', picture)
    rooms = [set(row.split(" · ")) for row in reversed(shown)]
    assert rooms == [layer for layer in LAYERS if not layer & {"", "scripts", "__main__"}]
