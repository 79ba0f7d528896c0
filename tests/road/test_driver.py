"""The walk over the stations, by commands that only write files: order, resume, refusals."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecmp.errors import NotLearnedError, UserError
from edgecmp.export.fingerprint import lowering_fingerprint
from edgecmp.files import seal, write_json
from edgecmp.road import run as road
from edgecmp.road.costs import Pace
from edgecmp.road.plan import SKIPPABLE, STATIONS
from edgecmp.road.run import run_road
from edgecmp.road.survey import Request
from tests.fixtures.fake_commands import FakeCommands, KilledError
from tests.fixtures.generated_photos import photo
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.latency_tables import make_table

PACE = Pace(start=0.1, read=1e-4, gallery=1e-3, step=1e-3, taught=2e-3, supernet=1e-3, embed=1e-4)
COMMANDS = 17
"""Of a road with every station: index, supernet, search, rank, 3 finalists, query, eval, 6 exports,
parity, bench; then the search with samples."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver") / "photos"
    return write_identities(folder, {"train": 6, "validation": 4, "test": 4})


@pytest.fixture
def request_(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """Ten minutes with the kit's gallery, on a machine of a fixed pace."""
    monkeypatch.setattr(road, "measure_pace", lambda survey, supernet: PACE)
    return Request(
        gallery=None,
        data=str(photos),
        budget="100M",
        seconds=600.0,
        out=tmp_path / "run",
        input_size=32,
    )


def record(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((request.out / "run.json").read_text())
    return document


def test_every_station_in_its_order(request_: Request) -> None:
    runner = FakeCommands()
    report = run_road(request_, runner)
    assert runner.names() == [
        *("gallery", "train supernet", "search", "rank"),
        *(["train query"] * 4),
        *("eval", *(["export"] * 6), "parity", "bench", "find"),
    ]
    assert tuple(record(request_)["stations"]) == STATIONS
    assert report.proven
    assert "90 % of what the server finds" in report.verdict
    assert "6 of 6 files proven" in report.verdict
    assert [row["protocol"] for row in report.to_dict()["rows"]] == ["gg", "qq", "qg"]
    assert all(file["latency_ms"] == 0.25 for file in report.files)
    assert "<h1>The phone finds 90 %" in (request_.out / "report.html").read_text()


def test_trainings_of_a_minute_and_more_take_their_time(request_: Request) -> None:
    """And the last one a part of the reserve, where that completes an epoch; a shorter one makes
    all its epochs."""

    def time_of_query(seconds: float) -> tuple[float | None, dict[str, float]]:
        request = replace(request_, seconds=seconds, out=request_.out / f"{seconds:g}")
        run_road(request, FakeCommands())
        document = tomllib.loads((request.out / "recipes/query.toml").read_text())
        return document["schedule"].get("time_s"), record(request)["stations"]["query"]

    whole, station = time_of_query(600.0)
    half = station["planned"] / station["passes"] / 2
    assert whole == pytest.approx(station["planned"] - PACE.start + min(18.0, half), abs=0.1)
    assert time_of_query(60.0)[0] is None


def test_the_best_finalist_goes_on(request_: Request) -> None:
    runner = FakeCommands(best=3)
    run_road(request_, runner)
    query = next(command for command in runner.begun if command[-3].endswith("/run/query"))
    assert query[query.index("--start") + 1].endswith("finalists/3")
    assert query[query.index("--architecture") + 1].endswith("finalists/architecture-3.json")


def test_what_the_finalists_took_plans_the_query_network(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the measured pace promised."""
    monkeypatch.setattr(road, "measure_pace", lambda survey, supernet: replace(PACE, step=0.1))

    def epochs(training_s: float) -> int:
        request = replace(request_, out=request_.out / f"{training_s:g}")
        run_road(request, FakeCommands(training_s=training_s))
        document = tomllib.loads((request.out / "recipes/query.toml").read_text())
        found: int = document["schedule"]["epochs"]
        return found

    assert epochs(20.0) == pytest.approx(4 * epochs(80.0), rel=0.1)


def killed_at(number: int, *, late: bool) -> FakeCommands:
    """Commands of which one is killed, before or after it has written its results."""
    runner = FakeCommands()

    def kill(command: list[str]) -> None:
        if len(runner.begun) == number:
            raise KilledError

    if late:
        runner.after = kill
    else:
        runner.before = kill
    return runner


@pytest.mark.slow(quick=["early-6", "late-8", "early-12", "late-17"])
@pytest.mark.parametrize("number", range(1, COMMANDS + 1))
@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
def test_a_run_killed_at_any_command_goes_on_there(
    request_: Request, late: bool, number: int
) -> None:
    """Two kills: at a command, and at the next one of the resumed run."""
    runners = killed_at(number, late=late), killed_at(2, late=late), FakeCommands()
    for runner in runners[:2]:
        with suppress(KilledError):
            run_road(request_, runner)
    assert run_road(request_, runners[2]).proven
    done = Counter(tuple(command) for runner in runners for command in runner.finished)
    assert set(done.values()) == {1}, "a finished command was repeated"
    assert len(done) == COMMANDS + 1
    assert runners[1].begun[0] == runners[0].begun[-1], "it does not go on where it was killed"


def test_a_finished_run_does_nothing_again(request_: Request) -> None:
    run_road(request_, FakeCommands())
    before = record(request_)["stations"]
    again = FakeCommands()
    report = run_road(request_, again)
    assert again.begun == []
    assert record(request_)["stations"] == before
    assert report.proven


def test_time_that_was_spent_before_a_kill_counts(request_: Request) -> None:
    """A run that was killed after most of its time trains as little as possible."""
    with pytest.raises(KilledError):
        run_road(request_, killed_at(2, late=False))
    path = request_.out / "run.json"
    document = record(request_)
    session = document["sessions"][-1]
    session["began"], session["ended"] = session["began"] - 595, session["ended"]
    write_json(path, seal(document))
    runner = FakeCommands()
    run_road(request_, runner)
    assert "search" not in runner.names()
    assert "bench" not in runner.names()
    recipe = (request_.out / "recipes/query.toml").read_text()
    assert "epochs = 1\n" in recipe


@pytest.mark.parametrize("station", SKIPPABLE)
def test_a_skipped_station_is_left_out(request_: Request, station: str) -> None:
    runner = FakeCommands()
    report = run_road(replace(request_, skip=frozenset({station})), runner)
    assert station not in record(request_)["stations"]
    assert report.proven is (station != "parity")
    names = runner.names()
    assert names.count("train query") == (4 if station in ("parity", "bench") else 1)
    assert ("search" in names) is (station not in ("supernet", "search"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"budget": "90M"}, "budget: 100000000, now 90000000"),
        ({"seed": 1}, "seed: 0, now 1"),
        ({"input_size": 48}, "input size: 32, now 48"),
    ],
)
def test_another_run_in_the_same_folder_is_refused_by_name(
    request_: Request, change: dict[str, Any], named: str
) -> None:
    with suppress(KilledError):
        run_road(request_, killed_at(1, late=False))
    with pytest.raises(UserError, match=f"a run with another {named}"):
        run_road(replace(request_, **change), FakeCommands())


def test_other_photos_in_the_same_folder_are_refused(request_: Request, tmp_path: Path) -> None:
    with suppress(KilledError):
        run_road(request_, killed_at(1, late=False))
    others = write_identities(tmp_path / "others", {"train": 5, "validation": 4, "test": 4})
    with pytest.raises(UserError, match="a run with another data"):
        run_road(replace(request_, data=str(others)), FakeCommands())


def test_images_without_labels_join_each_training(request_: Request, tmp_path: Path) -> None:
    more = tmp_path / "camera roll"
    more.mkdir()
    for number in range(5):
        photo(number, 0, 32).save(more / f"{number}.png")
    given = replace(request_, unlabelled=(more,), gallery_images=True)
    runner = FakeCommands()
    run_road(given, runner)
    trainings = [command for command in runner.finished if command[0] == "train"]
    assert len(trainings) == 5
    for command in trainings:
        at = command.index("--unlabelled")
        assert command[at + 1 : at + 3] == [str(more), "--gallery-images"]
    with pytest.raises(UserError, match=r"another set of images without labels: \w{12}, now none"):
        run_road(request_, FakeCommands())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("query", "The station query cannot be skipped"),
        ("serch", "Unknown station 'serch'. Did you mean search"),
    ],
)
def test_what_cannot_be_skipped_is_refused(request_: Request, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_road(replace(request_, skip=frozenset({name})), FakeCommands())


def test_a_search_that_is_needed_cannot_be_skipped(request_: Request) -> None:
    """The kit's architecture has 94 million FLOPs."""
    small = replace(request_, budget="60M", skip=frozenset({"search"}))
    with pytest.raises(UserError, match="no architecture within the bounds"):
        run_road(small, FakeCommands())
    runner = FakeCommands()
    run_road(replace(request_, budget="60M", seconds=1.0), runner)
    assert "search" in runner.names()


TABLE = {"input_size": 32, "lowering": lowering_fingerprint()}


@pytest.mark.parametrize(
    ("budget", "latency", "table", "message"),
    [
        ("100", None, None, r"No architecture of the 100M tier has at most 100 FLOPs"),
        ("100M", "1ns", TABLE, r"takes 1e-06 ms or less"),
        ("100M", "4ms", {**TABLE, "input_size": 64}, r"--input-size 32 --embedding-dim 128`"),
        ("100M", "4ms", {**TABLE, "lowering": "ab" * 32}, r"out of date"),
    ],
)
def test_bounds_that_nothing_satisfies_are_refused_before_anything_is_trained(
    request_: Request,
    tmp_path: Path,
    budget: str,
    latency: str | None,
    table: dict[str, Any] | None,
    message: str,
) -> None:
    if table is not None:
        make_table(**table).save(tmp_path / "table.json")
    bounds: dict[str, Any] = {"budget": budget, "latency": latency}
    bounds["table"] = None if table is None else tmp_path / "table.json"
    runner = FakeCommands()
    with pytest.raises(UserError) as caught:
        run_road(replace(request_, **bounds), runner)
    assert re.search(message, str(caught.value))
    assert not runner.begun
    assert not request_.out.exists()


DISK_FULL = UserError("The disk is full.", "Free some space.")
NEAR_CHANCE = NotLearnedError("The supernet is near chance.", "Use more epochs.")


def refuse(*words: str, error: UserError = DISK_FULL) -> Callable[[list[str]], None]:
    """Lets commands with these words fail by a user error."""

    def fail(command: list[str]) -> None:
        if all(word in command for word in words):
            raise error

    return fail


def test_a_failed_station_is_named_with_the_command_that_repeats_it(request_: Request) -> None:
    with pytest.raises(UserError) as caught:
        run_road(request_, FakeCommands(before=refuse("search")))
    assert "The station search failed: The disk is full. Free some space." in str(caught.value)
    assert "`edgecmp search --budget 100M" in str(caught.value)
    runner = FakeCommands()
    assert run_road(request_, runner).proven
    assert runner.names()[0] == "search"


def test_the_report_says_what_the_network_learned(request_: Request) -> None:
    adapter = {"kind": "images", "shrinkage": 1.0, "before": 0.25, "after": 0.5}
    report = run_road(request_, FakeCommands(metrics={"adapter": adapter}))
    (note,) = report.notes
    assert "fitted to the training images" in note
    assert "from 0.250 to 0.500" in note
    assert note.replace("'", "&#x27;") in (request_.out / "report.html").read_text()


def test_without_an_adapter_no_training_has_one(request_: Request) -> None:
    run_road(replace(request_, adapter=False), FakeCommands())
    recipes = sorted((request_.out / "recipes").iterdir())
    assert [path.stem for path in recipes] == ["finalist", "query", "supernet"]
    assert all(tomllib.loads(path.read_text())["adapter"] is False for path in recipes)
    with pytest.raises(UserError, match="adapter"):
        run_road(request_, FakeCommands())


def test_a_supernet_that_does_not_learn_leaves_the_run_to_the_kit(request_: Request) -> None:
    runner = FakeCommands(before=refuse("train", "supernet", error=NEAR_CHANCE))
    report = run_road(request_, runner)
    assert runner.names()[:3] == ["gallery", "train query", "eval"]
    (training,) = (command for command in runner.finished if command[:2] == ["train", "query"])
    assert training[training.index("--supernet") + 1] == "kit"
    assert report.proven
    assert report.notes == ["The run went on with the starter kit: The supernet is near chance."]
    again = FakeCommands()
    assert run_road(request_, again).notes == report.notes
    assert again.begun == []


def test_killed_after_such_a_supernet_it_is_not_trained_again(request_: Request) -> None:
    def kill(command: list[str]) -> None:
        refuse("train", "supernet", error=NEAR_CHANCE)(command)
        if command[:2] == ["train", "query"]:
            raise KilledError

    with pytest.raises(KilledError):
        run_road(request_, FakeCommands(before=kill))
    runner = FakeCommands()
    assert run_road(request_, runner).proven
    assert runner.names()[0] == "train query"


def test_without_an_architecture_of_the_kit_a_supernet_must_learn(request_: Request) -> None:
    small = replace(request_, budget="60M")
    with pytest.raises(UserError, match="The station supernet failed: The supernet is near"):
        run_road(small, FakeCommands(before=refuse("train", "supernet", error=NEAR_CHANCE)))


def test_another_fault_of_a_supernet_ends_the_run(request_: Request) -> None:
    with pytest.raises(UserError, match="The station supernet failed: The disk is full"):
        run_road(request_, FakeCommands(before=refuse("train", "supernet")))


def test_a_format_whose_packages_are_missing_is_said_before_anything_is_trained(
    request_: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without = {"onnxsim"}
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in without else find(name)
    )
    assert run_road(request_, FakeCommands()).proven
    told = capsys.readouterr().out
    assert "Left out: onnx files, since onnxsim is not installed. Install with" in told
    without |= {"ai_edge_litert", "flatbuffers", "coremltools"}
    runner = FakeCommands()
    with pytest.raises(UserError, match=r"No file for a phone .* onnxsim.*edgecmp\[export\]"):
        run_road(replace(request_, out=request_.out / "none"), runner)
    assert not runner.begun


def test_a_format_that_cannot_be_written_is_said_and_left_out(request_: Request) -> None:
    report = run_road(request_, FakeCommands(before=refuse("export", "coreml")))
    assert [file["target"] for file in report.files] == ["tflite", "tflite", "onnx", "onnx"]
    assert report.proven
    assert report.notes == ["coreml was not exported: The disk is full. Free some space."] * 2


def test_without_a_single_file_the_run_fails_and_can_go_on(request_: Request) -> None:
    with pytest.raises(UserError, match=r"none of 6 files was written\. tflite was not exported"):
        run_road(request_, FakeCommands(before=refuse("export")))
    runner = FakeCommands()
    assert run_road(request_, runner).proven
    assert runner.names().count("export") == 6
    assert runner.names()[0] == "export"


def test_a_file_that_fails_is_counted(request_: Request) -> None:
    def fail(rows: list[dict[str, Any]]) -> None:
        rows[0] |= {"verdict": "fail", "reason": "cosine 0.5 is below 0.99"}

    report = run_road(request_, FakeCommands(parity_rows=fail))
    verdicts = [file["verdict"] for file in report.files]
    assert verdicts == ["failed", "proven", "proven", "proven", "proven", "proven"]
    assert not report.proven
    assert "5 of 6 files proven, 1 failed" in report.verdict


def test_what_follows_a_query_network_that_was_trained_again_is_made_again(
    request_: Request,
) -> None:
    run_road(request_, FakeCommands())
    (request_.out / "query" / "manifest.json").write_text(
        '{"metrics": {"x": 1}}'
    )  # trained again by its own command
    runner = FakeCommands()
    run_road(request_, runner)
    assert runner.names() == ["eval", *(["export"] * 6), "parity", "bench", "find"]


def test_an_interrupt_is_one_sentence(request_: Request) -> None:
    def interrupt(command: list[str]) -> None:
        if command[0] == "search":
            raise UserError("Interrupted.", "Rerun it.") from KeyboardInterrupt()

    with pytest.raises(UserError, match=r"^Interrupted\. What is done is kept in .*run: rerun"):
        run_road(request_, FakeCommands(before=interrupt))
