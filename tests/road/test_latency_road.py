"""A small road under a latency bound, by a table that is measured for its gallery."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.networks.architecture import Architecture
from tests.conftest import Result
from tests.fixtures.roads import Road


@pytest.mark.roads
def test_a_road_obeys_a_latency_table_of_its_gallery(
    edgecmp: Callable[..., Result], tmp_path: Path
) -> None:
    """The starter kit's table is refused with the command that measures the right one."""
    gallery, data = Road(width=64, reads=32, side=40, counts=(2,) * 25).write(tmp_path)
    table, out = tmp_path / "table.json", tmp_path / "run"
    measured = edgecmp("latency", "build", "--device", "local", "--out", table)
    assert measured.code == 0, measured.err
    road = ["run", "--gallery", gallery, "--data", data, "--budget", "100M", "--input-size", 32]
    road += ["--time", "60s", "--skip", "bench", "--out", out, "--table", table]
    refused = edgecmp(*road, "--latency", "1s")
    assert refused.code == 2
    command = refused.err.split("`")[1]
    assert command == "edgecmp latency build --tier 100M --input-size 32 --embedding-dim 64"
    assert edgecmp(*command.split()[1:], "--device", "local", "--out", table).code == 0
    predicted = LatencyTable.load(table)
    tightest = edgecmp(*road, "--latency", "1us")
    assert tightest.code == 2
    bound_ms = 2 * float(tightest.err.split("Use --latency ")[1].split("ms")[0])
    done = edgecmp(*road, "--latency", f"{bound_ms}ms", "--json", tmp_path / "run.json")
    assert done.code in (0, 1), done.err
    document = json.loads((tmp_path / "run.json").read_text())
    found = Architecture.load(out / "search" / "architecture.json")
    assert predicted.predict(found) <= bound_ms
    assert found == Architecture.load(out / "query" / "architecture.json")
    plain = [file for file in document["files"] if file["precision"] == "fp32"]
    assert {file["verdict"] for file in plain} == {"proven"}
