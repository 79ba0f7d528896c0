"""The commands of each station, as `edgecmp run` prints and executes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecmp.road.costs import FINALISTS
from edgecmp.road.plan import Plan
from edgecmp.road.survey import Survey

__all__ = ["EXPORTS", "Export", "Places", "StationCommands"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """One exported file.

    Attributes:
        target: its format.
        precision: of its numbers.
        input: "tensor" or "image".
        suffix: of its name.
    """

    target: str
    precision: str
    input: str
    suffix: str

    @property
    def name(self) -> str:
        """Of the file."""
        return f"query-{self.precision}-{self.input}{self.suffix}"


EXPORTS = tuple(
    Export(target=target, precision=precision, input=input, suffix=suffix)
    for target, suffix, small in (
        ("tflite", ".tflite", "int8"),
        ("onnx", ".onnx", "fp16"),
        ("coreml", ".mlpackage", "int8-weights"),
    )
    for precision, input in (("fp32", "tensor"), (small, "image"))
)
"""Each format in 32-bit floats, and as small as it gets, which reads 8-bit pixels."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything of a run lies.

    Attributes:
        out: the run's folder.
    """

    out: Path

    def __truediv__(self, name: str) -> str:
        return str(self.out / name)

    def finalist(self, rank: int) -> str:
        """The name of the architecture of that rank."""
        number = "" if rank == 1 else f"-{rank}"
        return f"finalists/architecture{number}.json"

    @property
    def network(self) -> str:
        """The folder of the query network."""
        return self / "query"

    @property
    def files(self) -> list[str]:
        """The exported files that are there."""
        names = [f"files/{export.name}" for export in EXPORTS]
        return [self / name for name in names if (self.out / name).exists()]


@dataclass(frozen=True, kw_only=True, slots=True)
class StationCommands:
    """The commands of the stations of one run; without "edgecmp" and without `--json`.

    Attributes:
        survey: of the run.
        best: rank of the best finalist; None if there were none.
        supernet: whether the run has a supernet of its own.
        searched: whether the run has a search of its own.
    """

    survey: Survey
    best: int | None
    supernet: bool
    searched: bool

    @property
    def _places(self) -> Places:
        return Places(self.survey.request.out)

    @property
    def _gallery(self) -> list[str]:
        gallery = self.survey.request.gallery
        return [] if gallery is None else ["--gallery", str(gallery)]

    @property
    def _data(self) -> list[str]:
        return ["--data", self.survey.request.data]

    @property
    def _more(self) -> list[str]:
        request = self.survey.request
        paths = [word for path in request.unlabelled for word in ("--unlabelled", str(path))]
        return [*paths, *(["--gallery-images"] if request.gallery_images else [])]

    @property
    def _seed(self) -> list[str]:
        return ["--seed", str(self.survey.request.seed)]

    def of(self, station: str, plan: Plan) -> list[list[str]]:
        """The commands of a station."""
        commands: list[list[str]] = getattr(self, f"_{station}")(plan)
        return commands

    def _index(self, plan: Plan) -> list[list[str]]:
        gallery = self.survey.request.gallery
        model = [] if gallery is None else ["--model", str(gallery)]
        return [["gallery", "build", *model, *self._data, "--out", self._places / "index"]]

    def _supernet(self, plan: Plan) -> list[list[str]]:
        recipe = ["--recipe", self._places / "recipes/supernet.toml"]
        out = ["--out", self._places / "supernet"]
        common = [*self._gallery, *self._data, *self._more, *self._seed]
        return [["train", "supernet", *recipe, *common, *out]]

    def _search(self, plan: Plan) -> list[list[str]]:
        request = self.survey.request
        population, generations = plan.size
        bounds = ["--budget", request.budget]
        if request.latency is not None:
            bounds += ["--latency", request.latency, "--table", str(request.table)]
        size = ["--population", str(population), "--generations", str(generations)]
        supernet = ["--supernet", self._places / "supernet"]
        common = [*self._gallery, *self._data, *self._seed]
        return [["search", *bounds, *size, *supernet, *common, "--out", self._places / "search"]]

    def _finalists(self, plan: Plan) -> list[list[str]]:
        places = self._places
        rank = ["rank", places / "search", "--top", str(FINALISTS), "--out", places / "finalists"]
        supernet = ["--supernet", places / "supernet"]
        trainings = [
            self._train_query(
                places / places.finalist(number),
                [*supernet, "--recipe", places / "recipes/finalist.toml"],
                f"finalists/{number}",
            )
            for number in range(1, FINALISTS + 1)
        ]
        return [rank, *trainings]

    def _query(self, plan: Plan) -> list[list[str]]:
        places = self._places
        start = ["--supernet", places / "supernet" if self.supernet else "kit"]
        architecture = places / "architecture.json"
        if self.best is not None:
            architecture = places / places.finalist(self.best)
            start = ["--start", places / f"finalists/{self.best}"]
        elif self.searched:
            architecture = places / "search/architecture.json"
        recipe = ["--recipe", places / "recipes/query.toml"]
        return [self._train_query(architecture, [*start, *recipe], "query")]

    def _train_query(self, architecture: str, options: list[str], out: str) -> list[str]:
        common = [*self._gallery, *self._data, *self._more, *self._seed]
        places = ["--architecture", architecture, *options, *common, "--out", self._places / out]
        return ["train", "query", *places]

    def _eval(self, plan: Plan) -> list[list[str]]:
        model = ["--model", self._places.network]
        limit = ["--limit", str(plan.eval_queries)]
        if plan.eval_queries >= self.survey.work.queries:
            limit = []
        return [["eval", *model, *self._gallery, *self._data, *limit]]

    def _export(self, plan: Plan) -> list[list[str]]:
        return [
            [
                *("export", "--target", export.target, "--precision", export.precision),
                *("--input", export.input, "--model", self._places.network),
                *("--out", self._places / f"files/{export.name}"),
            ]
            for export in EXPORTS
        ]

    def _parity(self, plan: Plan) -> list[list[str]]:
        places = self._places
        against = ["--model", places.network, "--index", places / "index", *self._data]
        limit = ["--limit", str(plan.parity_queries)]
        if plan.parity_queries >= self.survey.work.queries:
            limit = []
        return [["parity", *places.files, *against, *limit]]

    def _bench(self, plan: Plan) -> list[list[str]]:
        return [["bench", *self._places.files]]

    def find(self, photos: list[str], file: str) -> list[str]:
        """The search with sample photos, as the phone makes it."""
        index = ["--index", self._places / "index", *self._data, "--top", "3"]
        return ["find", *photos, "--model", file, *index]
