"""Driver: walks the stations of a run, each through the commands that it prints."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from edgecmp.errors import NotLearnedError, UserError
from edgecmp.files import write_atomic
from edgecmp.progress import duration, say
from edgecmp.report import show
from edgecmp.road.commands import EXPORTS, Places, StationCommands
from edgecmp.road.costs import FINALISTS, Costs, Pace
from edgecmp.road.division import Planned
from edgecmp.road.outcomes import (
    best_finalist,
    corrected,
    proven_file,
    report_name,
)
from edgecmp.road.plan import STATIONS, Plan, make_plan
from edgecmp.road.recipe_files import training_recipe
from edgecmp.road.record import Record, StationRecord
from edgecmp.road.samples import write_samples
from edgecmp.road.survey import Survey

__all__ = ["ENDS_AT", "Driver", "Runner"]

Runner: TypeAlias = Callable[[Sequence[str]], int]
"""Runs one command line without "edgecmp" and returns its exit code; raises its UserError."""

ENDS_AT = 0.97
"""The share of the time that the trainings leave no more than; the rest is a reserve."""

TRAININGS = ("supernet", "finalists", "query")
LEAST_TIMED_S = 60.0
"""A shorter training makes all its epochs: a second more or less would decide about half of them,
and the run hardly gains time."""

MEASURE_AGAIN_S = 20.0
"""Before a training the pace is measured again if it is older than this: other programs may have
begun or ended."""

INPUTS = {
    "search": ("supernet",),
    "finalists": ("search/architecture.json", "supernet"),
    "query": ("search/architecture.json", "supernet"),
    "eval": ("query",),
    "export": ("query",),
    "parity": ("query", "index", "files"),
    "bench": ("files",),
    "report": ("query", "index", "files"),
}
"""What a station reads of what the run made."""

RESULTS = {
    "index": ("index",),
    "supernet": ("supernet",),
    "search": ("search/architecture.json",),
    "finalists": tuple(f"finalists/{number}" for number in range(1, FINALISTS + 1)),
    "query": ("query",),
    "eval": ("reports/eval.json",),
    "export": ("files",),
    "parity": ("reports/parity.json",),
    "bench": ("reports/bench.json",),
    "report": ("reports/report.json",),
}
"""What a station makes."""


@dataclass(kw_only=True, slots=True)
class Driver:
    """One run.

    Attributes:
        survey: what there is.
        record: what is done.
        runner: executes commands.
        measure: the pace of this machine at this moment; takes whether a supernet may follow.
        pace: of this machine: as it was last measured, corrected by what trainings took.
        passed: stations that were left out.
    """

    survey: Survey
    record: Record
    runner: Runner
    measure: Callable[[bool], Pace]
    pace: Pace = field(init=False)
    passed: set[str] = field(default_factory=set)
    _measured_at: float = 0.0

    def __post_init__(self) -> None:
        begun = [STATIONS.index(name) for name in self.record.stations]
        for name in STATIONS[: max(begun, default=0)]:  # what the run has gone past
            before = self.record.stations.get(name)
            if before is None or before.seconds is None:
                self.passed.add(name)
        supernet = self.record.begun("supernet")
        if supernet is not None and any(supernet.codes):
            self.passed.add("supernet")
        self._measure()

    def _measure(self) -> None:
        """Measures the pace, and corrects it by what the trainings' passes took."""
        closed = self.done | self.passed | self.survey.request.skip
        self.pace = self.measure(not closed & {"supernet", "search", "query"})
        self._measured_at = time.monotonic()
        self._correct()

    def _correct(self) -> None:
        self.pace = corrected(self.pace, self.survey.work, self.record)

    @property
    def places(self) -> Places:
        """Where everything lies."""
        return Places(self.record.out)

    @property
    def done(self) -> set[str]:
        """The stations that are finished."""
        return {name for name in STATIONS if self.record.is_done(name)}

    @property
    def left(self) -> float:
        """Seconds until the run should end; after the last training the reserve may be used."""
        share = 1.0 if self.record.is_done("query") else ENDS_AT
        return share * self.survey.request.seconds - self.record.spent

    def plan(self) -> Plan:
        """The plan of the stations that remain, in the time that is left."""
        return make_plan(
            Costs(work=self.survey.work, pace=self.pace),
            self.left,
            whole=ENDS_AT * self.survey.request.seconds,
            done=self.done,
            skip=self.survey.request.skip | self.passed,
            search_needed=self.survey.kit_architecture() is None,
            finalists_allowed=self.survey.request.latency is None,
        )

    def walk(self, stations: Sequence[str]) -> None:
        """Goes through stations in order, those that are done or left out excepted.

        Raises:
            UserError: a command failed; the message says which, and how it is repeated alone.
        """
        for name in stations:
            if self.record.is_done(name):
                say(f"{name}: done before, in {duration(self.record.stations[name].seconds or 0)}.")
                continue
            if name in TRAININGS and time.monotonic() - self._measured_at > MEASURE_AGAIN_S:
                self._measure()
            plan = self.plan()
            planned = plan.station(name)
            if planned is None:
                self.passed.add(name)
                continue
            self._station(planned, plan)
            self._correct()

    def _station(self, planned: Planned, plan: Plan) -> None:
        """Runs the commands of a station, from where an interrupted run stopped."""
        name = planned.station
        begun = self.record.begun(name)
        if begun is None or begun.seconds is not None:
            begun = self.record.begin(name, self._prepared(planned, plan))
        rest = f"{duration(max(0.0, self.left))} left in all"
        say(f"\n-- {name}: planned {duration(begun.planned)}; {rest}")
        for number in range(len(begun.codes), len(begun.commands)):
            report = report_name(name, number, len(begun.commands))
            begun.codes.append(self._run(name, begun, begun.commands[number], report))
            self.record.save()
        self._require_files(name, begun)
        if name == "supernet" and any(begun.codes):
            self.passed.add(name)
            return
        begun.seconds = self.record.spent - begun.spent_before
        begun.results = self.record.hashes(RESULTS[name])
        self.record.save()

    def _prepared(self, planned: Planned, plan: Plan) -> StationRecord:
        """The commands of a station, and the files that they read."""
        name = planned.station
        commands = StationCommands(
            survey=self.survey,
            best=best_finalist(self.record),
            supernet=self.record.is_done("supernet"),
            searched=self.record.is_done("search"),
        )
        short = name == "query" and plan.short
        if planned.passes is not None:
            self._write_recipe(planned, short=short)
        kit = self.survey.kit_architecture()
        if name == "query" and kit is not None and not self.record.is_done("search"):
            kit.save(self.places / "architecture.json")
        if name == "report":
            photos = write_samples(self.survey, self.places.out / "samples")
            made = [commands.find(photos, proven_file(self.record))]
        else:
            made = commands.of(name, plan)
        return StationRecord(
            commands=made,
            planned=planned.seconds,
            passes=planned.passes,
            short=short,
            views=planned.views,
            inputs=self.record.hashes(INPUTS.get(name, ())),
        )

    def _write_recipe(self, planned: Planned, *, short: bool) -> None:
        station, seconds = planned.station, self._training_seconds(planned)
        text = training_recipe(
            "supernet" if station == "supernet" else "query",
            passes=planned.passes or 0.0,
            images=self.survey.work.images,
            input_size=self.survey.input_size,
            tier=self.survey.tier,
            adapter=self.survey.request.adapter and not short,
            short=short,
            views=planned.views,
            seconds=None if seconds < LEAST_TIMED_S else seconds,
        )
        name = {"finalists": "finalist"}.get(station, station)
        write_atomic(self.places / f"recipes/{name}.toml", text.encode())

    def _training_seconds(self, planned: Planned) -> float:
        """Seconds of a training of a station, of which there may be several.

        A training makes whole epochs. The last one may take from the reserve what completes an
        epoch of which more than half fits.
        """
        trainings = FINALISTS if planned.station == "finalists" else 1
        seconds = planned.seconds / trainings - self.pace.start
        if planned.station == "query" and planned.passes:
            reserve = (1 - ENDS_AT) * self.survey.request.seconds
            seconds += min(reserve, planned.seconds / planned.passes / 2)
        return seconds

    def _run(self, station: str, begun: StationRecord, command: list[str], report: str) -> int:
        """Prints and executes one command; returns its exit code."""
        path = Path(self.places / report)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = [*command, "--json", str(path)]
        line = f"edgecmp {shlex.join(whole)}"
        show(f"$ {line}")
        sys.stdout.flush()  # before what the command says on stderr
        try:
            code = self.runner(whole)
        except UserError as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise UserError(
                    "Interrupted.",
                    f"What is done is kept in {self.record.out}: rerun the command to go on.",
                ) from error.__cause__
            if station == "export":
                target = command[command.index("--target") + 1]
                begun.notes.append(f"{target} was not exported: {error.what} {error.way_out}")
                say(begun.notes[-1])
                return 2
            if station == "supernet" and self._goes_on_after(error):
                begun.notes.append(f"The run went on with the starter kit: {error.what}")
                say(begun.notes[-1])
                return 2
            raise UserError(
                f"The station {station} failed: {error.what}",
                f"{error.way_out} Repeat it alone with `{line}`, or rerun the whole command: it "
                "goes on from there.",
            ) from error
        if code and station == "search":
            begun.notes.append("No candidate meets the latency bound when it is measured.")
        return code

    def _goes_on_after(self, error: UserError) -> bool:
        """Whether the starter kit does in place of a supernet that could not be trained."""
        return isinstance(error, NotLearnedError) and self.survey.kit_architecture() is not None

    def _require_files(self, name: str, begun: StationRecord) -> None:
        """Refuses an export without a single file."""
        if name == "export" and not self.places.files:
            begun.codes = []
            raise UserError(
                f"The station export failed: none of {len(EXPORTS)} files was written. "
                + begun.notes[0],
                "Install what is missing, then rerun the command: it goes on from there.",
            )
