"""Building and checking latency tables: on a made-up device whose truth is known, and on this."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.devices import DeviceLostError, DeviceRunError, LocalDevice, Visit
from edgecmp.benchmarks.devices.open import KINDS
from edgecmp.benchmarks.devices.summary import Summary
from edgecmp.benchmarks.latency import build, check, measure_networks
from edgecmp.benchmarks.latency.fit import calibration_networks, fit
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.latency.time_of import TRUNCATION_US
from edgecmp.cli.app import main
from edgecmp.errors import UserError
from edgecmp.export.latency_segments import latency_segments
from edgecmp.networks.architecture import Architecture
from edgecmp.search.space.flops import FlopsTable

SHAPE: dict[str, Any] = {"tier": "100M", "input_size": 64, "embedding_dim": 128}
BUILD = "edgecmp.benchmarks.latency.build"


@cache
def parts_once(tier: str, **shape: Any) -> tuple[tuple[str, bytes], ...]:
    return tuple(latency_segments(tier, **shape))


class Steady(LocalDevice):
    """A device on which a file takes 1 ns a byte, whole networks 5 % and 20 us more.

    `lost_after` visits the connection breaks, once.
    """

    visits = 0
    lost_after = -1
    version = "2.3.0"
    tells_runs = True

    @property
    def facts(self) -> dict[str, Any]:
        runtime = "litert" if self.tells_runs else "benchmark_model"
        return {"runtimes": {runtime: {"version": self.version}}, "cores": 2}

    def time_models(self, models: Sequence[Path], **options: Any) -> Iterator[Visit]:
        for index, model in enumerate(models):
            if type(self).visits == type(self).lost_after:
                type(self).lost_after = -1
                raise DeviceLostError("steady was lost.", "Connect it again.")
            type(self).visits += 1
            us = model.stat().st_size / 1000
            if model.name.startswith("network"):
                us = 1.05 * us + 20
            summary = Summary(runs=20, mean_us=2 * us, min_us=us - TRUNCATION_US)
            runs = 20 * self.tells_runs
            yield Visit(
                model=index,
                wall_us=(us,) * runs,
                cpu_us=(us,) * runs,
                switches=(0,) * runs,
                init_us=1.0,
                first_us=1.0,
                summary=None if self.tells_runs else summary,
            )


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> type[Steady]:
    monkeypatch.setitem(KINDS, "local", (lambda spec: Steady(), ()))
    monkeypatch.setattr(import_module(BUILD), "latency_segments", parts_once)
    for name in ("visits", "lost_after", "version", "tells_runs"):
        monkeypatch.setattr(Steady, name, getattr(Steady, name))  # so that tests may change it
    return Steady


@pytest.mark.slow
def test_a_table_knows_a_device_that_adds_up(steady: type[Steady], tmp_path: Path) -> None:
    table = build(tmp_path / "table.json", **SHAPE)
    assert LatencyTable.load(tmp_path / "table.json").to_dict() == table.to_dict()
    assert steady.visits == 2 * (323 + 15), "a second round changed nothing"
    assert list(tmp_path.iterdir()) == [tmp_path / "table.json"]
    report = check(tmp_path / "table.json", nets=6)
    figures = report.rows[0]
    assert figures["mape"] < 0.5, "the names and offsets in a file are not quite additive"
    assert figures["slowdown"] == pytest.approx(1)
    assert figures["tau"] == pytest.approx(1, abs=0.2)
    checked = LatencyTable.load(tmp_path / "table.json").check
    assert checked is not None
    assert checked["nets"] == 6
    document = json.loads(json.dumps(report.to_dict()))
    assert {"mape", "max_error", "within_5", "within_10", "tau", "nets"} <= document.keys()
    assert len(document["nets"]) == 6


def test_summaries_make_the_same_table(steady: type[Steady], tmp_path: Path) -> None:
    """As TFLite's benchmark_model reports them."""
    whole = build(tmp_path / "runs.json", **SHAPE)
    steady.tells_runs = False
    table = build(tmp_path / "summaries.json", **SHAPE)
    assert table.entries_ms == pytest.approx(whole.entries_ms, rel=1e-3)
    assert table.runtime == "benchmark_model"
    assert table.scale == pytest.approx(whole.scale, rel=1e-3)
    assert "fastest run" in table.statistic
    assert check(tmp_path / "summaries.json", nets=3).rows[0]["mape"] < 0.5


def test_a_build_that_lost_its_device_goes_on(steady: type[Steady], tmp_path: Path) -> None:
    whole = build(tmp_path / "whole.json", **SHAPE)
    steady.visits, steady.lost_after = 0, 477
    with pytest.raises(DeviceLostError, match="Connect it again"):
        build(tmp_path / "table.json", **SHAPE)
    runs = tmp_path / "table.json.runs"
    assert len(runs.read_text().splitlines()) == 1 + 477
    runs.write_text(runs.read_text()[:-10])  # killed in the middle of a line
    resumed = build(tmp_path / "table.json", **SHAPE)
    assert steady.visits == 2 * (323 + 15) + 1, "one line was torn, so one visit is made again"
    assert not runs.exists()
    same = ("entries_ms", "scale", "bias_ms", "calibration")
    assert all(
        json.dumps(whole.to_dict()[key]) == json.dumps(resumed.to_dict()[key]) for key in same
    )


def test_runs_of_another_measurement_are_not_mixed_in(steady: type[Steady], tmp_path: Path) -> None:
    steady.lost_after = 10
    with pytest.raises(DeviceLostError):
        build(tmp_path / "table.json", **SHAPE)
    with pytest.raises(UserError, match=r"belongs to another measurement \(threads 1, now 2\)"):
        build(tmp_path / "table.json", **SHAPE, threads=2)


def test_a_table_of_another_runtime_is_refused(steady: type[Steady], tmp_path: Path) -> None:
    build(tmp_path / "table.json", **SHAPE)
    steady.version = "2.4.0"
    with pytest.raises(UserError, match=r"in litert 2\.3\.0, and the device has 2\.4\.0 now"):
        check(tmp_path / "table.json", nets=3)


def test_a_device_without_a_runtime_is_refused(steady: type[Steady], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no TFLite runtime.*pip install"):
        build(tmp_path / "table.json", **SHAPE, runtime="tflite-runtime")


def test_a_model_that_the_runtime_refuses_ends_the_build(
    steady: type[Steady], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Steady, models: Sequence[Path], **options: Any) -> Iterator[Visit]:
        raise DeviceRunError("unknown op")
        yield  # a generator, as the real one

    monkeypatch.setattr(Steady, "time_models", refuse)
    with pytest.raises(UserError, match=r"stopped measuring: unknown op\. Run the same command"):
        build(tmp_path / "table.json", **SHAPE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"precision": "fp16"}, "Unknown precision of a latency table 'fp16'"),
        ({"threads": 0}, r"--threads must be at least 1 \(got 0\)"),
        ({"tier": "200M"}, "Unknown tier '200M'"),
        ({"runtime": "onnxruntime"}, "Unknown TFLite runtime 'onnxruntime'"),
    ],
)
def test_wrong_settings_say_what_is_wrong(
    changes: dict[str, Any], says: str, steady: type[Steady], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        build(tmp_path / "table.json", **SHAPE | changes)


def test_the_fit_is_exact_where_it_can_be() -> None:
    sums = [1.0, 2.0, 3.0, 5.0, 8.0]
    factor, constant = fit(sums, [1.1 * value + 0.3 for value in sums])
    assert factor == pytest.approx(1.1)
    assert constant == pytest.approx(0.3)


def test_the_calibration_is_spread_over_the_space() -> None:
    networks = calibration_networks(**SHAPE, seed=0)
    flops = FlopsTable.of("100M")
    counts = [flops.count(network) for network in networks]
    random = [flops.count(Architecture.random("100M", seed=seed)) for seed in range(200)]
    assert min(counts) < np.percentile(random, 2)
    assert max(counts) > np.percentile(random, 98)


def test_a_journal_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("hello\n")
    with pytest.raises(UserError, match="it is not a journal of edgecmp"):
        Journal(tmp_path / "runs", {"seed": 0})


@pytest.mark.slow
def test_the_real_device_through_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With visits of a millisecond and one round: the road, not the figures."""
    monkeypatch.setattr(import_module("edgecmp.benchmarks.latency.measure"), "ROUNDS", 1)
    monkeypatch.setattr(import_module("edgecmp.benchmarks.latency.networks"), "NETWORK_MS", 1.0)
    monkeypatch.setattr(import_module(BUILD), "SEGMENT_MS", 1.0)
    table = tmp_path / "local.json"
    assert main(["latency", "build", "--out", str(table)]) == 0
    assert f"Next: edgecmp latency check {table}" in capsys.readouterr().out
    assert main(["latency", "check", str(table), "--nets", "4", "--json", f"{table}.check"]) == 0
    document = json.loads(Path(f"{table}.check").read_text())
    assert document["mape"] < 60
    known = LatencyTable.load(table)
    assert 0.1 < known.scale < 10
    assert {path.suffix for path in tmp_path.iterdir()} >= {".json", ".png"}
    architecture = Architecture.random("100M", seed=9, input_size=64, embedding_dim=128)
    (ms,) = measure_networks(known, [architecture])
    assert 0 < ms < 100
