"""The reference of the recipes as Markdown: what `edgecmp recipes show NAME` shows."""

from __future__ import annotations

import edgecmp
from edgecmp.training.recipes.toml_text import toml_of

__all__ = ["recipes_page"]


def recipes_page() -> str:
    """A table of the recipes per command that takes them, then a section per recipe."""
    parts = []
    rows = edgecmp.list_recipes().rows
    for command in dict.fromkeys(row["command"] for row in rows):
        recipes = {row["recipe"]: row["what"] for row in rows if row["command"] == command}
        lines = [
            f"| [`{name}`](#{_anchor(command, name)}) | {what} |" for name, what in recipes.items()
        ]
        parts += [
            f"## edgecmp {command}",
            "\n".join(["| Recipe | What it trains |", "| --- | --- |", *lines]),
            *(_section(command, name, what) for name, what in recipes.items()),
        ]
    return "\n\n".join(parts)


def _anchor(command: str, name: str) -> str:
    return f"{command} {name}".replace(" ", "-")


def _section(command: str, name: str, what: str) -> str:
    """One recipe: its settings, folded, because there may be hundreds."""
    report = edgecmp.show_recipe(name)
    fitted = [f"Fitted to {report.job}."] if report.job else []
    settings = toml_of(report.settings[command]).strip().splitlines()
    block = "\n".join(f"    {line}".rstrip() for line in settings)
    return "\n\n".join(
        [
            f"### {name} {{ #{_anchor(command, name)} }}",
            what,
            *fitted,
            f'??? example "All {sum(" = " in line for line in settings)} settings"',
            f"    ```toml\n{block}\n    ```",
        ]
    )
