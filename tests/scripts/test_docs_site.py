"""The documentation site: its reference is complete, and its build fails on planted faults."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from typer.main import get_command

import edgecmp
from edgecmp.cli.app import app
from scripts.docs_site.links import site_faults
from scripts.docs_site.repository import relinked

ROOT = Path(__file__).parents[2]
REFERENCE = ("cli.md", "python.md", "python-objects.md", "recipes.md")

PACKAGE = {
    "edgecmp/__init__.py": '''
        """A package."""

        from edgecmp.api import work
        from edgecmp.results import LIMIT

        __all__ = ["LIMIT", "work"]
        ''',
    "edgecmp/api/__init__.py": '''
        """The public API."""

        from edgecmp.api.working import work

        __all__ = ["work"]
        ''',
    "edgecmp/api/working.py": '''
        """Working."""

        from edgecmp.results import Result

        __all__ = ["work"]


        def work(pieces: int, *, out: str) -> Result:
            """Works on `pieces` pieces.

            Args:
                pieces: how many.
                out: the folder.
            """
        ''',
    "edgecmp/results.py": '''
        """Results."""

        __all__ = ["LIMIT", "Result", "best"]

        LIMIT = 3
        """The most results."""


        class Result:
            """A result.

            Attributes:
                score: of the result, 0..1.
            """

            score: float

            def better(self) -> bool:
                """Whether it is better."""


        def best() -> Result:
            """The best result."""
        ''',
}
"""A small package without a fault."""

PAGES = {
    "docs/index.md": """
        # Start

        [Code](../edgecmp/results.py), [folder](../edgecmp/api), [readme](../README.md),
        [a chapter](other.md#chapter), `[no link](nowhere.md)`

        ![a picture](dot.svg)

        ```
        [no link](nowhere.md)
        ```
        """,
    "docs/other.md": "# Other\n\n## Chapter\n",
    "docs/dot.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
    "README.md": '# Readme\n\n[Chapter](docs/other.md#chapter) <img src="docs/dot.svg">\n',
}
"""Pages without a dead link."""


def build(folder: Path, nav: list[str]) -> subprocess.CompletedProcess[str]:
    """Builds the site in a folder as `make docs` does."""
    (folder / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\n"
        f"hooks: [{ROOT / 'scripts/docs_site/hooks.py'}]\n"
        f"nav: [{', '.join(nav)}]\n"
    )
    return subprocess.run(
        [
            *(sys.executable, "-m", "mkdocs", "build", "--strict"),
            *("-f", str(folder / "mkdocs.yml")),
        ],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text).lstrip("\n"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built reference pages of the real package."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "edgecmp").symlink_to(ROOT / "edgecmp")
    pages = {f"docs/{name}": (ROOT / "docs/reference" / name).read_text() for name in REFERENCE}
    write(folder, {"docs/index.md": "# Start\n", **pages})
    done = build(folder, ["index.md", *REFERENCE])
    assert done.returncode == 0, done.stderr
    return folder / "site"


def words(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from words(child, (*path, name))


def test_every_command_is_on_the_page_with_its_options(reference: Path) -> None:
    page = (reference / "cli.html").read_text()
    found = dict(words(get_command(app), ("edgecmp",)))
    assert ("edgecmp", "train", "query") in found
    for path, command in found.items():
        _, mark, section = page.partition(f'id="{"-".join(path)}"')
        assert mark, path
        section = section.partition("<h3")[0]
        for option in command.params:
            for name in option.opts if option.name != "help" else ():
                assert option.param_type_name == "argument" or f"<code>{name}</code>" in section


def test_every_public_name_is_on_the_page(reference: Path) -> None:
    page = (reference / "python.html").read_text()
    for name in edgecmp.__all__:
        assert f'id="edgecmp.{name}"' in page, name
        assert f"edgecmp.{name}\n" in page or f"edgecmp.{name}<" in page, name
    assert "Finds the gallery images that are most similar to photos" in page


def test_what_the_functions_return_is_on_the_page(reference: Path) -> None:
    page = (reference / "python-objects.html").read_text()
    for name in ("Report", "SearchResult", "EvaluationReport", "QueryBundle", "GalleryRecipe"):
        assert f'<a id="{name}"></a>' in page
    assert "edgecmp.artefacts.bundle.QueryBundle.save" in page


def test_every_recipe_is_on_the_page_with_its_settings(reference: Path) -> None:
    page = (reference / "recipes.html").read_text()
    for row in edgecmp.list_recipes().rows:
        assert f'id="{row["command"].replace(" ", "-")}-{row["recipe"]}"' in page
    assert re.sub("<[^>]*>", "", page).count("schedule]\nepochs = ") >= 30


def test_the_site_is_loaded_from_itself_alone(reference: Path) -> None:
    assert list(site_faults(reference)) == []
    for sheet in reference.rglob("*.css"):
        assert "url(http" not in sheet.read_text()


def test_a_site_without_faults_shows_the_files_that_it_links_to(tmp_path: Path) -> None:
    write(tmp_path, PACKAGE | PAGES)
    done = build(tmp_path, ["index.md", "other.md"])
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert 'href="repository/edgecmp/results.py.html"' in (site / "index.html").read_text()
    assert "Whether it is better" in (site / "repository/edgecmp/results.py.html").read_text()
    assert "working.py" in (site / "repository/edgecmp/api.html").read_text()
    readme = (site / "repository/index.html").read_text()
    assert 'href="../other.html#chapter"' in readme
    assert 'src="../dot.svg"' in readme


def test_each_planted_fault_is_named(tmp_path: Path) -> None:
    write(tmp_path, PACKAGE | PAGES)
    planted = {
        "docs/index.md": (
            "# Start\n\n[1](gone.md) [2](other.md#gone) [3](../edgecmp/gone.py) ![4](gone.png)\n\n"
            '<a href="other.html#lost">5</a> <img src="https://example.org/pixel.png">\n'
        ),
        "docs/lost.md": "# In no navigation\n",
        "README.md": "# Readme\n\n[7](docs/absent.md)\n",
        "edgecmp/results.py": PACKAGE["edgecmp/results.py"]
        .replace('"""Whether it is better."""', "...")
        .replace('"""The best result."""', "...")
        .replace('"""The most results."""', "")
        .replace("score: float", "score: float\n            place: int"),
        "edgecmp/api/working.py": PACKAGE["edgecmp/api/working.py"].replace(
            "out: the folder.", "folder: where."
        ),
    }
    write(tmp_path, planted)
    done = build(tmp_path, ["index.md", "other.md"])
    assert done.returncode == 1
    for fault in (
        "a link 'gone.md', but the target is not found",
        "does not contain an anchor '#gone'",
        "a link '../edgecmp/gone.py', but the target",
        "a link 'gone.png', but the target",
        "there is no anchor #lost",
        "https://example.org/pixel.png is loaded from outside the site",
        "- lost.md",
        "a link '../absent.md', but the target",
        "edgecmp.results.Result.better has no docstring",
        "edgecmp.results.best has no docstring",
        "edgecmp.results.LIMIT has no docstring",
        'edgecmp.results.Result does not describe its field place in "Attributes:"',
        'edgecmp.api.working.work does not describe its parameter out in "Args:"',
        'edgecmp.api.working.work describes folder in "Args:" and has no such parameter',
    ):
        assert fault in done.stderr, fault


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("docs/how-to/a.md", "[x](b.md#c)", "[x](b.md#c)"),
        ("docs/how-to/a.md", "[x](../../README.md#c)", "[x](../repository/README.md#c)"),
        (
            "docs/how-to/a.md",
            '[x](../../search/run.py "t")',
            '[x](../repository/search/run.py.md "t")',
        ),
        ("docs/a.md", "[x]: ../README.md\n", "[x]: repository/README.md\n"),
        ("README.md", '<img src="docs/images/search.png">', '<img src="../images/search.png">'),
        ("README.md", "[x](docs/a.md) `[y](docs/a.md)`", "[x](../a.md) `[y](docs/a.md)`"),
        ("README.md", "[x](https://example.org/a.md)", "[x](https://example.org/a.md)"),
        ("README.md", "```\n[x](docs/a.md)\n```\n", "```\n[x](docs/a.md)\n```\n"),
    ],
)
def test_links_out_of_docs_are_turned(page: str, text: str, expected: str) -> None:
    assert relinked(text, page, ROOT) == expected


def test_every_test_that_a_page_names_exists() -> None:
    tests = list(ROOT.joinpath("tests").rglob("test_*.py"))
    text = "\n".join(path.read_text() for path in tests)
    named = set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))
    page = ROOT.joinpath("docs", "explanation", "damaged-input.md").read_text()
    found = set(re.findall(r"`(?:[\w/]*/)?(test_\w+(?:\.py)?)`", page))
    assert len(found) > 100
    assert found - named - {path.name for path in tests} == set()
