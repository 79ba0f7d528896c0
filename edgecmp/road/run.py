"""`edgecmp run`: from a gallery model and photos to a proven file and a report, in a given time."""

from __future__ import annotations

import time
from pathlib import Path

from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.formats import registry
from edgecmp.export.install import how_to_install
from edgecmp.kept import keeping
from edgecmp.progress import duration, say
from edgecmp.report import show, table_text
from edgecmp.road.commands import EXPORTS
from edgecmp.road.driver import Driver, Runner
from edgecmp.road.duration import time_text
from edgecmp.road.measure import measure_pace, memory_bytes
from edgecmp.road.outcomes import read_report
from edgecmp.road.page import write_page
from edgecmp.road.plan import SKIPPABLE, STATIONS, Plan
from edgecmp.road.record import Record
from edgecmp.road.report import RoadReport, file_rows, make_verdict, notes_of, station_rows
from edgecmp.road.survey import Request, Survey
from edgecmp.storage import folder_lock

__all__ = ["run_road"]

WIDTH = 100
"""Columns of the plan's table."""


def run_road(request: Request, runner: Runner) -> RoadReport:
    """Walks the whole road, or the rest of it after an interruption.

    Args:
        request: the user's options.
        runner: executes commands.

    Raises:
        UserError: an option is wrong, the gallery or the data cannot be used, `request.out` holds
            another run, or a station failed.
    """
    began = time.time()
    for name in sorted(request.skip):
        if name not in SKIPPABLE:
            raise _not_skippable(name)
    left_out = _unwritable_formats()
    with folder_lock(request.out, "run"), keeping():
        survey = Survey.of(request)
        _check_bounds(survey)
        record = Record.opened(request.out, survey.settings)
        with record.working(began):
            for sentence in (*survey.sentences(), *left_out):
                show(sentence)
            driver = Driver(
                survey=survey,
                record=record,
                runner=runner,
                measure=lambda supernet: measure_pace(survey, supernet=supernet),
            )
            _show_plan(driver)
            driver.walk(STATIONS)
            return _finished(driver)


def _finished(driver: Driver) -> RoadReport:
    """The report of a run whose stations are done, and its page."""
    evaluated = read_report(driver.record, "reports/eval.json")
    files = file_rows(driver)
    report = RoadReport(
        rows=evaluated["rows"],
        files=files,
        stations=station_rows(driver),
        verdict=make_verdict(evaluated["rows"], files, evaluated["gallery_images"]),
        proven=any(row["verdict"] == "proven" for row in files)
        and not any(row["verdict"] == "failed" for row in files),
        queries=evaluated["queries"],
        all_queries=evaluated["all_queries"],
        gallery_images=evaluated["gallery_images"],
        queries_note=evaluated["queries_note"],
        seconds=driver.record.spent,
        asked_s=driver.survey.request.seconds,
        notes=notes_of(driver),
        page=driver.places.out / "report.html",
        query=Path(driver.places.network),
    )
    write_page(report, driver)
    return report


def _not_skippable(name: str) -> UserError:
    if name in STATIONS:
        return UserError(
            f"The station {name} cannot be skipped: without it there is no proven file.",
            f"Skip one of: {', '.join(SKIPPABLE)}.",
        )
    return unknown_choice("station", name, SKIPPABLE)


def _unwritable_formats() -> list[str]:
    """A sentence for each format whose packages are missing.

    Raises:
        UserError: nothing can be exported.
    """
    targets = [registry.targets()[name] for name in dict.fromkeys(one.target for one in EXPORTS)]
    missing = {target.name: target.missing for target in targets if target.missing}
    if len(missing) == len(targets):
        packages = [name for names in missing.values() for name in names]
        raise UserError(
            "No file for a phone can be written, since packages are not installed: "
            f"{', '.join(packages)}.",
            how_to_install(*packages),
        )
    return [
        f"Left out: {target} files, since {', '.join(names)} is not installed. "
        f"{how_to_install(*names)}"
        for target, names in missing.items()
    ]


def _check_bounds(survey: Survey) -> None:
    """Refuses to skip the search where the starter kit has no architecture within the bounds."""
    if survey.kit_architecture() is not None:
        return
    for name in ("supernet", "search"):
        if name in survey.request.skip:
            raise UserError(
                f"The station {name} cannot be skipped: the starter kit has no architecture "
                "within the bounds.",
                f"Leave out --skip {name}, or give a larger --budget and no --latency.",
            )


def _show_plan(driver: Driver) -> None:
    """Prints the plan, and keeps it if it is the first one."""
    plan = driver.plan()
    if not plan.stations:
        say(f"All stations are done in {driver.record.out}: the report is written again.")
        return
    if not driver.record.plan:
        driver.record.keep_plan({each.station: each.seconds for each in plan.stations})
    show(f"\n{_plan_table(plan)}")
    asked = driver.survey.request.seconds
    spent = driver.record.spent
    gigabytes = memory_bytes(driver.survey) / 1e9
    before = f" {duration(spent)} of it are spent." if driver.done else ""
    show(
        f"In all about {duration(spent + plan.seconds)} of {time_text(asked)}.{before} Memory: "
        f"about {gigabytes:.1f} GB."
    )
    if spent + plan.seconds > asked:
        say(
            f"This is the shortest road for these images: {time_text(asked)} are not enough for "
            "it, so it takes longer."
        )


def _plan_table(plan: Plan) -> str:
    rows = [
        {
            "station": each.station,
            "time": "-" if each.left_out else duration(each.seconds),
            "what": each.what,
        }
        for each in plan.stations
    ]
    return table_text(rows, width=WIDTH)
