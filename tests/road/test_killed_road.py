"""Real roads, killed within their stations: the same command ends with proven files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.roads import Road

MOMENTS = (
    "epoch 2/",  # a training has a checkpoint
    "exported onnx fp32",  # some files are written
)
"""What a process says when it is killed, in the order of the road."""

KILLS = 20

ROAD = Road(width=64, reads=32, side=40, counts=(2,) * 25)


@pytest.mark.roads
def test_a_road_killed_within_its_stations_ends_with_proven_files(tmp_path: Path) -> None:
    gallery, data = ROAD.write(tmp_path)
    out = tmp_path / "run"
    command = [
        *(sys.executable, "-m", "edgecmp", "run", "--gallery", str(gallery), "--data", str(data)),
        *("--time", "2m", "--skip", "search", "--skip", "bench"),
        *("--out", str(out), "--json", str(tmp_path / "run.json")),
    ]
    before: dict[str, str] = {}
    for moment in MOMENTS:
        _kill_when_it_says(moment, command)
        finished = _finished(out)
        assert before.items() <= finished.items(), "a finished station was made again"
        before = finished
    assert set(before) == {"index", "query", "eval"}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    for name in before:
        assert f"{name}: done before" in done.stderr
    files = json.loads((tmp_path / "run.json").read_text())["files"]
    assert {file["verdict"] for file in files if file["precision"] == "fp32"} == {"proven"}
    assert len(json.loads((out / "run.json").read_text())["sessions"]) == len(MOMENTS) + 1


@pytest.mark.roads
def test_a_run_of_ten_minutes_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    """With the embedded images and the kit's gallery; each process has up to 45 seconds."""
    out, random = tmp_path / "run", np.random.default_rng(0)
    command = [
        *(sys.executable, "-m", "edgecmp", "run", "--data", "emoji", "--time", "10m"),
        *("--out", str(out), "--json", str(tmp_path / "run.json")),
    ]
    before: dict[str, str] = {}
    kills = 0
    for seconds in random.uniform(1.0, 45.0, KILLS):
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
        finished = _finished(out)
        assert before.items() <= finished.items(), "a finished station was made again"
        print(f"ended after {seconds:.0f} s; finished: {', '.join(finished) or 'nothing'}")
        before = finished
    assert kills == KILLS, "the run ended before all kills"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in before:
        assert f"{name}: done before" in done.stderr
    report = json.loads((tmp_path / "run.json").read_text())
    assert {file["verdict"] for file in report["files"]} == {"proven"}
    print(f"Took {report['seconds']:.0f} s in {kills + 1} processes. {report['verdict']}")


def _finished(out: Path) -> dict[str, str]:
    """The results of the finished stations of a run, by station."""
    path = out / "run.json"
    stations = json.loads(path.read_text())["stations"] if path.exists() else {}
    return {
        name: json.dumps(station["results"])
        for name, station in stations.items()
        if station["seconds"] is not None
    }


def _kill_when_it_says(moment: str, command: list[str]) -> None:
    """Starts the command and kills it, and all that it started, when a line has these words."""
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if moment in line:
                os.killpg(process.pid, signal.SIGKILL)
                break
        else:
            pytest.fail(f"It never said {moment!r}: {''.join(said)}")
    assert process.returncode == -signal.SIGKILL
