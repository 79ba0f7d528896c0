"""`edgecmp search --latency --table` from the command line, with a device that is stood in for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.devices import DeviceRunError
from edgecmp.networks.architecture import Architecture
from edgecmp.search.strategies.base import SearchSize
from edgecmp.search.strategies.evolution import EvolutionSettings
from tests.fixtures.search_tables import LOWERING, flops_like
from tests.fixtures.small_search import SIZE, save_small_models

Edgecmp = Callable[..., Any]
Measure = Callable[[LatencyTable, Sequence[Architecture]], list[float]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_small_models(folder)
    return folder


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Callable[[Measure], None]:
    """Puts a function in the place of the one that measures on the table's device."""
    monkeypatch.setattr("edgecmp.export.fingerprint.lowering_fingerprint", lambda: LOWERING)
    monkeypatch.setattr(EvolutionSettings, "full", SearchSize(population=5, generations=2))

    def put(measure: Measure) -> None:
        module = ModuleType("edgecmp.benchmarks.latency")
        module.measure_networks = measure  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


def words(models: Path, folder: Path, **changes: str) -> list[str]:
    given = {
        "--budget": "100M",
        "--latency": "300us",
        "--table": str(folder / "t.json"),
        "--supernet": str(models / "supernet"),
        "--gallery": str(models / "gallery"),
        "--data": "small-emoji",
        "--out": str(folder / "out"),
        "--json": str(folder / "report.json"),
    } | {f"--{name}": value for name, value in changes.items()}
    return ["search", *(word for pair in given.items() if pair[1] for word in pair)]


@pytest.mark.slow
def test_the_winner_is_measured_again(
    models: Path, tmp_path: Path, edgecmp: Edgecmp, device: Callable[[Measure], None]
) -> None:
    flops_like(input_size=SIZE).save(tmp_path / "t.json")
    device(lambda table, networks: [table.predict(network) * 1.001 for network in networks])
    result = edgecmp(*words(models, tmp_path))
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verified"] is True
    assert "measured_ms" in result.out
    assert "pareto.png" in result.out
    assert "satisfy both bounds" in result.err
    assert report["rows"][report["winner"] - 1]["holds"]
    inspected = edgecmp("inspect", tmp_path / "out")
    assert inspected.code == 0, inspected.out + inspected.err
    assert "latency ms" in inspected.out
    device(lambda table, networks: [1.0] * len(networks))
    assert edgecmp(*words(models, tmp_path)).code == 1
    other = edgecmp(*words(models, tmp_path, latency="310us"))
    assert other.code == 2
    assert "is the history of another search" in other.err


@pytest.mark.slow
def test_a_device_that_fails_leaves_the_result(
    models: Path, tmp_path: Path, edgecmp: Edgecmp, device: Callable[[Measure], None]
) -> None:
    def broken(table: LatencyTable, networks: Sequence[Architecture]) -> list[float]:
        raise DeviceRunError("the runtime is not installed")

    flops_like(input_size=SIZE).save(tmp_path / "t.json")
    device(broken)
    result = edgecmp(*words(models, tmp_path))
    assert result.code == 0, result.err
    assert "not verified: The networks could not be run" in result.err
    assert f"edgecmp latency check {tmp_path / 't.json'} --architecture" in result.err
    assert json.loads((tmp_path / "report.json").read_text())["verified"] is None


@pytest.mark.parametrize(
    ("size", "lowering", "changes", "says"),
    [
        (SIZE, LOWERING, {"latency": "4 minutes"}, "'4 minutes' is not a latency. Give a number"),
        (SIZE, LOWERING, {"latency": "1us"}, "the fastest under this budget takes"),
        (SIZE, LOWERING, {"latency": ""}, "Give both"),
        (SIZE, LOWERING, {"table": ""}, "Give both"),
        (SIZE, LOWERING, {"table": "/nowhere.json"}, "/nowhere.json cannot be read"),
        (64, LOWERING, {}, "at 64 pixels with 128-d embeddings, not 100M at 32 with 128"),
        (SIZE, "1" * 64, {}, "is out of date: another edgecmp wrote the measured files"),
    ],
)
def test_bad_bounds_are_one_sentence_and_write_nothing(
    models: Path,
    tmp_path: Path,
    edgecmp: Edgecmp,
    device: Callable[[Measure], None],
    size: int,
    lowering: str,
    changes: dict[str, str],
    says: str,
) -> None:
    flops_like(input_size=size, lowering=lowering).save(tmp_path / "t.json")
    device(lambda table, networks: [])
    result = edgecmp(*words(models, tmp_path, **changes))
    assert result.code == 2
    assert says in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]
