"""RecipeList: the recipes as a report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from edgecmp.report import Report
from edgecmp.training.recipes.registry import recipe_documents, recipe_summaries

__all__ = ["RecipeList"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RecipeList(Report):
    """Recipes, with the command that takes each.

    Attributes:
        rows: one per recipe: "recipe", "command" and "what" it is.
        settings: of the recipes that were asked for by name: command to document.
    """

    rows: list[dict[str, Any]]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def all(cls) -> RecipeList:
        """Every recipe, without its settings."""
        return cls(rows=[*recipe_summaries()])

    @classmethod
    def named(cls, name: str) -> RecipeList:
        """The recipes of that name, with their settings.

        Raises:
            UserError: there is none; the message lists all names.
        """
        settings = recipe_documents(name)
        rows = [row for row in recipe_summaries() if row["recipe"] == name]
        return cls(rows=[*rows], settings=settings)

    def sentences(self) -> list[str]:
        """The settings, one per line."""
        return [
            "\n".join(
                (
                    f"\nedgecmp {command} --recipe {self.rows[0]['recipe']}",
                    *(f"  {name} = {json.dumps(value)}" for name, value in _flat(document).items()),
                )
            )
            for command, document in self.settings.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp recipes --json` writes."""
        return {"rows": self.rows, "settings": self.settings}


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            found |= _flat(value, f"{key}.")
        elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
            for place, part in enumerate(value):
                found |= _flat(part, f"{key}.{place}.") if isinstance(part, dict) else {}
        else:
            found[key] = value
    return found
