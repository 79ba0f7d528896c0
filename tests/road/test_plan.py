"""Plans: for any images, machine and time they add up, and always lead to a proven file."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.road.costs import PASSES_OF_VIEW, Costs, Pace, Work
from edgecmp.road.division import (
    FIRST_PASSES,
    LEAST_IMAGES,
    LEAST_SEARCH,
    LEAST_SUPERNET,
    SIZES,
    evaluations_of,
)
from edgecmp.road.driver import ENDS_AT
from edgecmp.road.plan import SKIPPABLE, STATIONS, Plan, make_plan
from edgecmp.road.recipe_files import training_recipe
from edgecmp.search.strategies import EvolutionSettings

TIMES = st.floats(60, 86400)
IMAGES = st.integers(50, 1_000_000)
NEEDED = {"index", "query", "eval", "export", "parity", "report"}
"""Stations without which there is no proven file."""

EMOJI = Work(train=6985, holdout=784, queries=4512, gallery=721, views=None)
CORES = Pace(
    start=1.0, read=2e-4, gallery=4e-3, step=2.5e-3, taught=4e-3, supernet=2.5e-3, embed=6e-4
)


@st.composite
def costs(draw: st.DrawFn) -> Costs:
    """Any data on any machine: laptops and servers, teachers of a millisecond to a second."""
    images = draw(IMAGES)
    share = draw(st.floats(0.02, 0.4))
    test = max(2, round(images * draw(st.floats(0.05, 0.6))))
    work = Work(
        train=max(2, images - test),
        holdout=max(2, round(images * share)),
        queries=max(1, test // 2),
        gallery=max(1, test - test // 2),
        views=draw(st.none() | st.integers(0, 8)),
    )
    gallery, step = draw(st.floats(1e-3, 1.0)), draw(st.floats(5e-4, 5e-2))
    pace = Pace(
        start=draw(st.floats(0.2, 20)),
        read=draw(st.floats(5e-5, 2e-2)),
        gallery=gallery,
        step=step,
        taught=max(gallery, step) + draw(st.floats(0, 1)) * min(gallery, step),
        supernet=draw(st.floats(5e-4, 5e-2)),
        embed=draw(st.floats(1e-4, 1e-2)),
    )
    return Costs(work=work, pace=pace)


def passes(plan: Plan, name: str) -> float:
    """Of a training; 0 if it is left out."""
    station = plan.station(name)
    return 0.0 if station is None else station.passes or 0.0


def views(plan: Plan) -> int | None:
    """Of each image in the query network's training."""
    station = plan.station("query")
    assert station is not None
    return station.views


@given(costs(), TIMES, st.sets(st.sampled_from(SKIPPABLE)), st.booleans())
def test_every_plan_lists_each_station_once_and_keeps_what_a_proven_file_needs(
    costs: Costs, seconds: float, skip: set[str], needed: bool
) -> None:
    needed = needed and not skip & {"supernet", "search"}
    plan = make_plan(costs, seconds, skip=skip, search_needed=needed)
    assert [each.station for each in plan.stations] == list(STATIONS)
    kept = NEEDED - skip | ({"supernet", "search"} if needed else set())
    assert all(plan.includes(name) for name in kept)
    assert not any(plan.includes(name) for name in skip)
    assert all(each.seconds >= 0 and each.what for each in plan.stations)
    assert plan.includes("supernet") >= plan.includes("search") >= plan.includes("finalists")
    seen = passes(plan, "query") * costs.work.images
    assert seen >= min(LEAST_IMAGES, costs.work.images) * 0.999


@given(costs(), TIMES)
def test_a_plan_fills_the_time_or_is_the_shortest_or_has_nothing_left_to_do(
    costs: Costs, seconds: float
) -> None:
    plan = make_plan(costs, seconds)
    shortest = make_plan(costs, 0.0)
    most = make_plan(costs, 1e12)
    if plan.seconds > seconds * 1.0001:  # too little time for anything but the shortest road
        assert passes(plan, "query") == passes(shortest, "query")
        assert not plan.includes("supernet")
        assert not plan.includes("bench")
    elif passes(plan, "query") < passes(most, "query"):
        assert plan.seconds == pytest.approx(seconds)


@given(costs(), TIMES, st.floats(1.0, 3.0))
def test_more_time_never_makes_a_shorter_plan(costs: Costs, seconds: float, factor: float) -> None:
    short, long = make_plan(costs, seconds), make_plan(costs, seconds * factor)
    assert long.seconds >= short.seconds * 0.9999
    same = [each.station for each in short.stations if long.includes(each.station)]
    if long.short == short.short and all(map(short.includes, same)):
        more_views = (views(long) or 0) > (views(short) or 0)  # which take the time of passes
        fewest = min(FIRST_PASSES, passes(short, "query"))
        assert more_views or passes(long, "query") >= fewest * 0.9999


@given(costs(), TIMES)
def test_a_plan_that_goes_as_expected_is_kept_when_it_is_made_again(
    costs: Costs, seconds: float
) -> None:
    """After each station the rest is planned again; the sum stays within the time."""
    first = make_plan(costs, seconds)
    done: set[str] = set()
    passed: set[str] = set()
    spent = 0.0
    for name in STATIONS:
        plan = make_plan(costs, seconds - spent, done=done, skip=passed)
        if not plan.includes(name):
            passed.add(name)
            continue
        spent += next(each.seconds for each in plan.stations if each.station == name)
        done.add(name)
    assert done >= NEEDED
    assert spent <= max(seconds, first.seconds) * 1.02


@pytest.mark.parametrize("size", SIZES)
def test_the_evaluations_of_a_search_are_those_that_it_makes(size: tuple[int, int]) -> None:
    population, generations = size
    settings = EvolutionSettings.preset(population=population, generations=generations)
    assert evaluations_of(size) == pytest.approx(settings.expected_evaluations, abs=0.5)


def test_the_emoji_set_by_the_clock() -> None:
    """On two cores: the kit's architecture in 10 minutes, a search of one's own in an hour."""
    costs = Costs(work=EMOJI, pace=CORES)
    ten, hour, hours = (make_plan(costs, ENDS_AT * 60 * minutes) for minutes in (10, 60, 120))
    assert not ten.includes("search")
    assert hour.includes("supernet")
    assert hour.includes("search")
    assert hours.includes("finalists")
    assert passes(hours, "query") > passes(hour, "query") > passes(ten, "query") > 5
    assert evaluations_of(hours.size) > evaluations_of(hour.size)


@given(costs(), TIMES)
def test_a_supernet_that_is_not_needed_has_enough_passes(costs: Costs, seconds: float) -> None:
    plan = make_plan(costs, seconds)
    if plan.includes("supernet"):
        assert passes(plan, "supernet") >= LEAST_SUPERNET * 0.999
        assert plan.size in SIZES[SIZES.index(LEAST_SEARCH) :]
        seconds_of = {each.station: each.seconds for each in plan.stations}
        assert seconds_of["query"] >= costs.query(FIRST_PASSES) * 0.9


@given(costs(), TIMES, st.floats(1.0, 10.0))
def test_more_time_brings_more_views_each_with_enough_passes(
    costs: Costs, seconds: float, factor: float
) -> None:
    plan = make_plan(costs, seconds)
    count = views(plan)
    if not costs.work.views:
        assert count == costs.work.views
        return
    assert count is not None
    if plan.short:
        assert count == 0
        return
    assert count >= 1
    if passes(plan, "query") < 300 and count > 1:
        rounding = (count + 1.5) / (count + 1)
        assert passes(plan, "query") >= PASSES_OF_VIEW * (count + 1) / rounding * 0.8
    longer = make_plan(costs, seconds * factor)
    if not longer.includes("supernet"):
        assert (views(longer) or 0) >= count


def test_the_views_of_a_slow_gallery_model() -> None:
    """EfficientNet-Lite0 on two cores: 16 s per pass, and 66 s more if it embeds all images."""
    work = replace(EMOJI, views=3)
    pace = replace(CORES, gallery=9e-3, step=2.3e-3, taught=11.7e-3)
    plans = [make_plan(Costs(work=work, pace=pace), 60 * minutes) for minutes in (10, 30)]
    assert [views(plan) for plan in plans] == [3, 10]
    assert all(2 < passes(plan, "query") / ((views(plan) or 0) + 1) < 4 for plan in plans)
    assert "4 views of each" in plans[0].stations[4].what


def test_the_recipe_of_a_run_has_the_views_of_its_plan() -> None:
    def recipe(kind: str, **of_plan: Any) -> dict[str, Any]:
        given: dict[str, Any] = {"passes": 2.4, "images": 100, "input_size": 64, "tier": "100M"}
        return tomllib.loads(training_recipe(kind, **given, **of_plan))

    assert recipe("query", views=3)["views"] == 4
    assert recipe("query", views=3, short=True)["views"] == 1
    for without in (recipe("query", views=None), recipe("query", views=0)):
        assert "views" not in without
    assert "views" not in recipe("supernet", views=3)
    assert recipe("query")["schedule"] == {"epochs": 3, "epoch_images": 80}
    assert recipe("query", seconds=60.04)["schedule"]["time_s"] == 60.0
    assert recipe("query", adapter=False)["adapter"] is False
    assert "adapter" not in recipe("supernet")


def test_a_latency_bound_or_a_small_budget_makes_a_search_however_short_the_time() -> None:
    plan = make_plan(Costs(work=EMOJI, pace=CORES), 60, search_needed=True)
    assert plan.includes("search")
    assert plan.size == SIZES[0]
    assert passes(plan, "supernet") == 0
