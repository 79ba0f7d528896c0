"""Types of a recipe's numbers with their ranges, which files and options are checked against.

Also the document that a recipe is written as.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field

from edgecmp.networks.tiers import tier

__all__ = [
    *("Count", "Decay", "Number", "Positive", "Share", "Side", "TierName", "Whole"),
    "document_of",
]

Count: TypeAlias = Annotated[int, Field(ge=1)]
"""At least one of something: epochs, images of a batch."""

Whole: TypeAlias = Annotated[int, Field(ge=0)]
"""A number of something, or 0 for none."""

Number: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A length, a weight or a strength: zero or more."""

Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A scale or a temperature."""

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""A share or a probability."""

Decay: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
"""The decay of an average; 1 would never take anything in."""

Side: TypeAlias = Annotated[int, Field(ge=32, le=4096)]
"""Height and width of a square image that networks can be built for, in pixels."""

TierName: TypeAlias = Annotated[str, AfterValidator(lambda name: tier(name).name)]
"""The name of a tier; for another a UserError lists them."""


def document_of(recipe: Any) -> dict[str, Any]:
    """A recipe (a dataclass of plain values and dataclasses) as a JSON document."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return document
