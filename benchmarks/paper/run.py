"""Run: one trained and evaluated network, the unit that tables are made of and that is resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import read_json, write_json

__all__ = ["RECORDED", "RESULT", "Run", "Runs", "scores_of"]

FORMAT = "edgecmp-run/1"
RESULT = "run.json"
RECORDED = Path(__file__).parent / "results"
"""Runs that ship with edgecmp: what its developers measured, one .jsonl file a recipe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one training gave.

    Attributes:
        recipe: name of the recipe that the run belongs to.
        key: place in the grid, such as "query/mobilenet_w1/seed0"; also its folder.
        settings: what decides the result: recipe of the training, architecture, start, seed.
        data: name of the data and fingerprints of what was trained and tested on.
        gallery_sha256: of the gallery model.
        mflops: fvcore's count at 224 x 224, in 10^6.
        params_m: parameters, in 10^6.
        images_seen: by the network in this training.
        scores: protocol ("gg", "qq", "qg") to metric to percent, on the test split.
        holdout: scores on the search's hold-out, percent; empty where none were taken.
        seconds: of the training.
        provenance: versions, date and command.
    """

    recipe: str
    key: str
    settings: Mapping[str, Any]
    data: Mapping[str, str]
    gallery_sha256: str
    mflops: float
    params_m: float
    images_seen: int
    scores: Mapping[str, Mapping[str, float]]
    holdout: Mapping[str, float]
    seconds: float
    provenance: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], *, source: str) -> Run:
        """Reads what `to_dict` wrote.

        Raises:
            UserError: it is not such a document; `source` is named.
        """
        fields = {name: value for name, value in document.items() if name != "format"}
        if document.get("format") != FORMAT or fields.keys() != set(cls.__dataclass_fields__):
            raise UserError(
                f"{source} is not a run of `edgecmp reproduce`.",
                "Delete it: the run is then made again.",
            )
        return cls(**fields)


class Runs:
    """All runs of a recipe: those in the user's folder, then those that ship with edgecmp.

    Args:
        folder: --out of `edgecmp reproduce`; need not exist.
        recipe: name of the recipe.
        recorded: whether shipped runs are looked at too.
    """

    def __init__(self, folder: Path, recipe: str, *, recorded: bool) -> None:
        self.folder = folder / recipe
        self.recipe = recipe
        self._recorded = {run.key: run for run in _recorded(recipe)} if recorded else {}

    def place(self, key: str) -> Path:
        """The folder of a run."""
        return self.folder / key

    def get(self, key: str) -> Run | None:
        """The run of that key; None if it was not made.

        Raises:
            UserError: its file is damaged.
        """
        path = self.place(key) / RESULT
        if path.exists():
            return Run.from_dict(read_json(path, what="a run"), source=str(path))
        return self._recorded.get(key)

    def is_own(self, key: str) -> bool:
        """Whether the run stands in the user's folder."""
        return (self.place(key) / RESULT).exists()

    def put(self, run: Run) -> None:
        """Writes a run into its folder, atomically."""
        write_json(self.place(run.key) / RESULT, run.to_dict())


def scores_of(runs: Iterable[Run], protocol: str, metric: str) -> list[float]:
    """The metric in each run that has it, in percent: the test data decides which there are."""
    return [run.scores[protocol][metric] for run in runs if metric in run.scores.get(protocol, {})]


def _recorded(recipe: str) -> Iterator[Run]:
    path = RECORDED / f"{recipe}.jsonl"
    if path.exists():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            yield Run.from_dict(json.loads(line), source=f"line {number} of {path}")
