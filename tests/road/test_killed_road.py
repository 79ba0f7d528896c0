"""A real road, killed within its stations: the same command ends with proven files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.roads import Road

MOMENTS = (
    "epoch 2/",  # a training has a checkpoint
    "exported onnx fp32",  # some files are written
)
"""What a process says when it is killed, in the order of the road."""

ROAD = Road(width=64, reads=32, side=40, counts=(2,) * 25)


@pytest.mark.slow
def test_a_road_killed_within_its_stations_ends_with_proven_files(tmp_path: Path) -> None:
    gallery, data = ROAD.write(tmp_path)
    out = tmp_path / "run"
    command = [
        *(sys.executable, "-m", "edgecmp", "run", "--gallery", str(gallery), "--data", str(data)),
        *("--time", "2m", "--skip", "search", "--skip", "longer", "--skip", "bench"),
        *("--out", str(out), "--json", str(tmp_path / "run.json")),
    ]
    before: dict[str, str] = {}
    for moment in MOMENTS:
        _kill_when_it_says(moment, command)
        record = json.loads((out / "run.json").read_text())
        finished = {
            name: json.dumps(station["results"])
            for name, station in record["stations"].items()
            if station["seconds"] is not None
        }
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
