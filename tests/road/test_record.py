"""run.json: the time of killed processes counts, and what was changed is refused or made again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from edgecmp.errors import UserError
from edgecmp.road.record import Record, StationRecord, hash_of

SETTINGS = {"budget": 100_000_000, "gallery": "a" * 64, "latency bound": None}


def station(**given: object) -> StationRecord:
    return StationRecord.model_validate({"commands": [["eval"]], "planned": 1.0, **given})


def test_the_time_of_every_process_counts(tmp_path: Path) -> None:
    for _ in range(2):
        record = Record.opened(tmp_path, SETTINGS)
        with record.working(time.time() - 100):
            assert record.spent >= 100
    again = Record.opened(tmp_path, SETTINGS)
    assert 200 <= again.spent < 260
    assert not (tmp_path / ".alive").exists()


def test_a_killed_process_worked_until_its_last_sign_of_life(tmp_path: Path) -> None:
    record = Record.opened(tmp_path, SETTINGS)
    with record.working(time.time() - 1000):
        killed = (tmp_path / "run.json").read_bytes()  # as it is in the middle of the work
        began = time.time() - 1000
    (tmp_path / "run.json").write_bytes(killed)
    (tmp_path / ".alive").touch()
    os.utime(tmp_path / ".alive", (began + 300, began + 300))
    assert Record.opened(tmp_path, SETTINGS).spent == pytest.approx(300, abs=1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("budget", 90, "a run with another budget: 100000000, now 90"),
        ("gallery", "b" * 64, "a run with another gallery: aaaaaaaaaaaa, now bbbbbbbbbbbb"),
        ("latency bound", "4ms", "a run with another latency bound: none, now 4ms"),
    ],
)
def test_another_run_is_refused_by_what_differs(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    Record.opened(tmp_path, SETTINGS).save()
    with pytest.raises(UserError, match=message):
        Record.opened(tmp_path, {**SETTINGS, name: value})


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": "edgecmp-road/1"}', "changed"])
def test_a_damaged_record_is_refused_with_a_way_out(tmp_path: Path, damage: str) -> None:
    Record.opened(tmp_path, SETTINGS).save()
    path = tmp_path / "run.json"
    if damage == "changed":
        damage = json.dumps({**json.loads(path.read_text()), "plan": {"index": 1.0}})
    path.write_text(damage)
    with pytest.raises(UserError, match=r"run\.json .*--out, or remove"):
        Record.opened(tmp_path, SETTINGS)


def test_a_station_is_done_while_its_inputs_are_the_same_and_its_results_there(
    tmp_path: Path,
) -> None:
    model = tmp_path / "query"
    model.mkdir()
    (model / "manifest.json").write_text("1")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "eval.json").write_text("{}")
    record = Record.opened(tmp_path, SETTINGS)
    begun = record.begin("eval", station(inputs=record.hashes(["query"])))
    assert set(begun.inputs) == {"query"}
    assert not record.is_done("eval")
    begun.seconds, begun.results = 1.0, record.hashes(["reports/eval.json"])
    record.save()
    again = Record.opened(tmp_path, SETTINGS)
    assert again.is_done("eval")
    (tmp_path / "reports" / "eval.json").rename(tmp_path / "moved.json")
    assert not again.is_done("eval")
    (tmp_path / "moved.json").rename(tmp_path / "reports" / "eval.json")
    (model / "manifest.json").write_text("2")
    assert not again.is_done("eval")
    assert again.begun("eval") is None


def test_the_hash_of_a_folder_is_that_of_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_text("1")
    before = hash_of(folder)
    (folder / "inner" / "a").rename(folder / "a")
    assert hash_of(folder) != before
    assert hash_of(tmp_path / "nowhere") == "missing"
