"""Building and checking latency tables: on a made-up device whose truth is known, and on this."""

from __future__ import annotations

import json
import re
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.devices import DeviceLostError, DeviceRunError, Visit
from edgecmp.benchmarks.devices.open import KINDS
from edgecmp.benchmarks.latency import build, check, measure_networks
from edgecmp.benchmarks.latency.fit import calibration_networks, fit
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.cli.app import main
from edgecmp.errors import UserError
from edgecmp.export.latency_segments import latency_segments
from edgecmp.networks.architecture import Architecture
from edgecmp.search.space.flops import FlopsTable
from tests.fixtures.steady_device import Steady

SHAPE: dict[str, Any] = {"tier": "100M", "input_size": 64, "embedding_dim": 128}
BUILD = "edgecmp.benchmarks.latency.build"


@cache
def parts_once(tier: str, **shape: Any) -> tuple[tuple[str, bytes], ...]:
    return tuple(latency_segments(tier, **shape))


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
    for content in ("hello\n", "hello", "[]\n", '{"settings": 1}\n', "[" * 100_000 + "\n"):
        (tmp_path / "runs").write_text(content)
        with (
            pytest.raises(UserError, match="it is not a journal of edgecmp"),
            Journal.opened(tmp_path / "runs", {"seed": 0}),
        ):
            pass
        assert (tmp_path / "runs").read_text() == content


def journal_of(folder: Path, count: int = 5) -> Path:
    """A journal of so many visits."""
    path = folder / "runs"
    visit = Visit(
        model=0, wall_us=(1.5, 2.5), cpu_us=(1.0, 2.0), switches=(0, 1), init_us=1, first_us=1
    )
    with Journal.opened(path, {"seed": 0}) as journal:
        for number in range(count):
            journal.add("a", number, visit)
    return path


def visits_in(path: Path) -> tuple[dict[str, Any], UserError | None]:
    """The visits of a journal, or why it is refused."""
    try:
        with Journal.opened(path, {"seed": 0}) as journal:
            return dict(journal.visits), None
    except UserError as error:
        return {}, error


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), byte=st.integers(1, 255))
def test_one_changed_byte_in_a_journal_is_named(place: int, byte: int, tmp_path: Path) -> None:
    """By its line, or by what another measurement it then seems to be; or it changes nothing."""
    content = bytearray(journal_of(tmp_path).read_bytes())
    before, _ = visits_in(tmp_path / "runs")
    place %= len(content)
    line = content[:place].count(b"\n") + 1
    content[place] ^= byte
    (tmp_path / "runs").write_bytes(content)
    found, refusal = visits_in(tmp_path / "runs")
    if refusal is None:  # the last line has lost its end
        assert all(before["a"][number] == visit for number, visit in found["a"].items())
        assert len(found["a"]) >= 4
    else:
        says = rf"Line ({line}|{line + 1}) of .*/runs was changed or damaged|belongs to another"
        assert re.search(says, refusal.what)
        assert "delete that file" in refusal.way_out
    (tmp_path / "runs").unlink()


@pytest.mark.parametrize("line", [b"[]", b"1", b"{}", b'{"name": "a"}', b"\xff", b"[" * 99_999])
def test_a_line_that_is_no_visit_is_named(line: bytes, tmp_path: Path) -> None:
    path = journal_of(tmp_path)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with (
        pytest.raises(UserError, match=r"Line 7 of .* was changed"),
        Journal.opened(path, {"seed": 0}),
    ):
        pass


def test_one_measurement_at_a_time_writes_a_table(steady: type[Steady], tmp_path: Path) -> None:
    """Two tables in one folder are two files."""
    with Journal.opened(tmp_path / "table.json.runs", {"seed": 0}):
        with pytest.raises(UserError, match=r"Another measurement is writing .*/table.json.runs"):
            build(tmp_path / "table.json", **SHAPE)
        build(tmp_path / "other.json", **SHAPE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.json", "table.json.runs"]


def test_a_journal_on_a_full_disk_stays_usable(tmp_path: Path) -> None:
    path = journal_of(tmp_path)
    before = path.read_bytes()
    visit = Visit(model=0, wall_us=(1,), cpu_us=(1,), switches=(0,), init_us=1, first_us=1)

    def full(told: Connection) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Journal.opened(path, {"seed": 0}) as journal:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20,) * 2)
            for number in (5, 6):
                try:
                    journal.add("b", number, visit)
                except UserError as error:
                    told.send((str(error), path.read_bytes()))

    here, there = get_context("fork").Pipe()
    process = get_context("fork").Process(target=full, args=(there,))
    process.start()
    for _ in range(2):
        assert here.poll(30)
        says, content = here.recv()
        assert "The measurement stopped" in says
        assert "rerun the command to resume" in says
        assert content == before
    process.join()
    with Journal.opened(path, {"seed": 0}) as journal:
        assert len(journal) == 5


@pytest.mark.slow
def test_a_picture_that_cannot_be_drawn_costs_neither_table_nor_report(
    steady: type[Steady], tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    (tmp_path / "table.png").mkdir()
    done = edgecmp("latency", "build", "--out", tmp_path / "table.json")
    assert done.code == 0, done.err
    assert "The picture was not written, but the result is complete." in done.err
    assert "Wrote the table" in done.out
    assert "Wrote the picture" not in done.out
    LatencyTable.load(tmp_path / "table.json")
    refused = edgecmp("latency", "build", "--out", tmp_path / "other.png")
    assert refused.code == 2
    assert "--out names the table, a .json file" in refused.err


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
