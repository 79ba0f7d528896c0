"""RecipeList and RecipeSettings: the recipes as reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from edgecmp.report import Report
from edgecmp.training.job import EXAMPLE, Job
from edgecmp.training.recipes.registry import FITTED, recipe_documents, recipe_summaries
from edgecmp.training.recipes.toml_text import toml_of

__all__ = ["RecipeList", "RecipeSettings"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RecipeList(Report):
    """All recipes, with the command that takes each.

    Attributes:
        rows: one per recipe: "recipe", "command" and "what" it is.
    """

    rows: list[dict[str, Any]]

    @classmethod
    def all(cls) -> Self:
        """Every recipe."""
        return cls(rows=[*recipe_summaries()])

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp recipes --json` writes."""
        return {"rows": self.rows}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RecipeSettings(Report):
    """The recipes of one name with every setting; its text is the TOML that `--recipe` takes.

    Attributes:
        rows: one per recipe: "recipe", "command" and "what" it is.
        settings: command to document.
        job: that the recipes were fitted to; empty for those that are the same for all data.
    """

    rows: list[dict[str, Any]]
    settings: dict[str, dict[str, Any]]
    job: str

    @classmethod
    def named(cls, name: str, job: Job | None = None) -> Self:
        """The recipes of that name.

        Args:
            name: of the recipes.
            job: that the recipe "photos" is fitted to; None: an example.

        Raises:
            UserError: there is none of that name; the message lists all names.
        """
        settings = recipe_documents(name, job or EXAMPLE)
        rows = [row for row in recipe_summaries() if row["recipe"] == name]
        note = ""
        if name == FITTED:
            note = f"{'' if job else 'an example: '}{(job or EXAMPLE).describe()}"
        return cls(rows=rows, settings=settings, job=note)

    @property
    def toml(self) -> str:
        """All settings: of one training at the top level, of several in a table each."""
        fitted = [f"# Fitted to {self.job}."] if self.job else []
        parts = []
        for command, document in self.settings.items():
            heading = f"# {next(r['what'] for r in self.rows if r['command'] == command)}"
            table = command.split()[-1] if len(self.settings) > 1 else ""
            parts.append(f"{heading}\n{toml_of(document, table=table)}")
        return "\n".join([*fitted, *parts])

    def text(self, width: int) -> str:
        """The TOML, whose lines are not folded."""
        del width
        return self.toml.rstrip("\n")

    def to_dict(self) -> dict[str, Any]:
        """What `edgecmp recipes show --json` writes."""
        return {"rows": self.rows, "settings": self.settings, "job": self.job}
