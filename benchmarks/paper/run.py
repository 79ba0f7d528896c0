"""Run: one trained and evaluated network, the unit that tables consist of."""

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
"""The runs in the package, measured by the developers: one .jsonl file per recipe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The result of one training.

    Attributes:
        recipe: name of the recipe that the run belongs to.
        key: place in the grid, such as "query/mobilenet_w1/seed0"; also its folder.
        settings: everything that determines the result: recipe of the training, architecture,
            initial weights, seed.
        data: name of the data, and fingerprints of the training and test images.
        gallery_sha256: SHA-256 of the gallery model.
        mflops: fvcore's count at 224 x 224, in 10^6.
        params_m: number of parameters, in 10^6.
        images_seen: number of images that the network saw in this training.
        scores: by protocol ("gg", "qq", "qg") and metric: percent on the test data.
        holdout: scores on the hold-out of the search, percent; empty if it was not scored.
        seconds: duration of the training.
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
        """Reads the document that `to_dict` returns.

        Raises:
            UserError: it is not such a document; the message names `source`.
        """
        fields = {name: value for name, value in document.items() if name != "format"}
        if document.get("format") != FORMAT or fields.keys() != set(cls.__dataclass_fields__):
            raise UserError(
                f"{source} is not a run of `edgecmp reproduce`.",
                "Delete it and run the same command again, which repeats the run.",
            )
        return cls(**fields)


class Runs:
    """All runs of a recipe: those in the user's folder, then those in the package.

    Args:
        folder: --out of `edgecmp reproduce`; need not exist.
        recipe: name of the recipe.
        recorded: whether to include the runs in the package.
    """

    def __init__(self, folder: Path, recipe: str, *, recorded: bool) -> None:
        self.folder = folder / recipe
        self.recipe = recipe
        self._recorded = {run.key: run for run in _recorded(recipe)} if recorded else {}

    def place(self, key: str) -> Path:
        """The folder of a run."""
        return self.folder / key

    def get(self, key: str) -> Run | None:
        """The run with that key; None if there is none.

        Raises:
            UserError: its file is damaged.
        """
        return self.own(key) or self._recorded.get(key)

    def own(self, key: str) -> Run | None:
        """The run with that key in the user's folder; None if there is none.

        Raises:
            UserError: its file is damaged.
        """
        path = self.place(key) / RESULT
        if not path.exists():
            return None
        return Run.from_dict(read_json(path, what="a run"), source=str(path))

    def put(self, run: Run) -> None:
        """Writes a run to its folder, atomically."""
        write_json(self.place(run.key) / RESULT, run.to_dict())


def scores_of(runs: Iterable[Run], protocol: str, metric: str) -> list[float]:
    """The metric, in percent, in each run that has it; which metrics exist depends on the data."""
    return [run.scores[protocol][metric] for run in runs if metric in run.scores.get(protocol, {})]


def _recorded(recipe: str) -> Iterator[Run]:
    path = RECORDED / f"{recipe}.jsonl"
    if path.exists():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            yield Run.from_dict(json.loads(line), source=f"line {number} of {path}")
