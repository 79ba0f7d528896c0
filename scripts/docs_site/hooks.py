"""What mkdocs calls while it builds the site: generated reference, links, and the checks of both.

mkdocs.yml names this file under `hooks`. Every fault is a warning of one sentence, and
`mkdocs build --strict` fails if there was one. Run mkdocs as a module (`python -m mkdocs`) from the
root of the repository, as `make docs` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

import edgecmp
from scripts.docs_site.cli_page import cli_page
from scripts.docs_site.docstrings import undocumented
from scripts.docs_site.links import site_faults
from scripts.docs_site.python_page import (
    api_functions,
    api_objects,
    functions_page,
    objects_page,
    top_names,
)
from scripts.docs_site.recipes_page import recipes_page
from scripts.docs_site.repository import linked_files, relinked
from scripts.docs_site.source import package

__all__ = ["on_files", "on_page_markdown", "on_post_build", "on_pre_build"]

ALWAYS_SHOWN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
"""Files outside docs/ whose links are checked too."""

log = logging.getLogger("mkdocs.hooks.docs_site")


def on_pre_build(config: MkDocsConfig) -> None:
    """Warns of each public name that is not documented."""
    source = _source(config)
    objects = [target for targets in api_objects(source).values() for target in targets]
    shown = [*top_names(source), *objects]
    for fault in undocumented(source, functions=api_functions(source), shown=shown):
        log.warning(fault)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file outside docs/ that a page links to."""
    root = _root(config)
    docs = Path(config.docs_dir).relative_to(root).as_posix()
    pages = [f"{docs}/{file.src_uri}" for file in files.documentation_pages()]
    always = [name for name in ALWAYS_SHOWN if (root / name).exists()]
    for place, content in linked_files(root, pages, always).items():
        given = (
            {"abs_src_path": str(content)} if isinstance(content, Path) else {"content": content}
        )
        files.append(File.generated(config, place, inclusion=InclusionLevel.NOT_IN_NAV, **given))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills the generated pages, and turns links to files outside docs/."""
    source = _source(config)
    generators: dict[str, Callable[[], str]] = {
        "cli": lambda: cli_page(resolve_name(config.extra["command_line"]), "edgecmp"),
        "recipes": recipes_page,
        "functions": lambda: functions_page(source, edgecmp.__all__),
        "objects": lambda: objects_page(source),
    }
    for name, generate in generators.items():
        mark = f"<!-- generated: {name} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, generate())
    if page.file.generated_by:
        return markdown
    return relinked(markdown, f"docs/{page.file.src_uri}", _root(config))


def on_post_build(config: MkDocsConfig) -> None:
    """Warns of each dead link in what was built."""
    for fault in site_faults(Path(config.site_dir)):
        log.warning(fault)


def _root(config: MkDocsConfig) -> Path:
    """The repository: where mkdocs.yml is."""
    return Path(config.config_file_path).parent


def _source(config: MkDocsConfig) -> griffe.Module:
    return package("edgecmp", _root(config))
