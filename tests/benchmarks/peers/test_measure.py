"""One session on servers that answer as they are told to: rows, shares and refusals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecmp.benchmarks.peers import measure as peers_measure
from edgecmp.benchmarks.peers.environment import own_environment
from edgecmp.benchmarks.peers.measure import measure
from edgecmp.benchmarks.peers.networks import rate_graph_macs
from edgecmp.benchmarks.peers.plan import Plan
from edgecmp.errors import UserError

EMBEDDING = [0.6, 0.8]
RUN_US = {"ours": 1000.0, "onnx ours": 2000.0, "onnx torch": 3000.0, "torch eager": 9000.0}
STACK_US = 500.0
MADE: dict[str, Any] = {
    name: {"files": {"fp32": {"file": f"{name}.model"}}}
    for name in ("ours", "onnx-ours", "onnx-torch")
}


class FakeServer:
    """Every model has the right embedding, unless it is among `facts_of`."""

    facts_of: Mapping[str, dict[str, Any]] = {}

    def __init__(self, runtime: str, models: Mapping[str, Path]) -> None:
        self.runtime = runtime
        self.models = models
        known = {"version": "1", "embedding": EMBEDDING}
        self.facts = {model: self.facts_of.get(model, known) for model in models}

    def visit(self, model: str, milliseconds: float) -> dict[str, Any]:
        wall_us = RUN_US.get(model, STACK_US)
        return {
            "wall_us": [wall_us] * 3,
            "cpu_us": [wall_us / 2] * 3,
            "involuntary_switches": [0] * 3,
        }


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    @contextmanager
    def serving(models: Any, **_: Any) -> Iterator[Any]:
        servers = [FakeServer(runtime, held) for (runtime, _), held in models.items()]
        yield servers, {("tflite-runtime", "ours"): "the process died (killed)"}

    monkeypatch.setattr(peers_measure, "serving", serving)
    monkeypatch.setattr(peers_measure, "rate_models", lambda out: {"80x28x28": out / "stack"})
    monkeypatch.setattr(FakeServer, "facts_of", {})
    np.save(tmp_path / "embedding.npy", np.array([EMBEDDING], np.float32))
    return Plan(
        out=tmp_path,
        environments={"own": own_environment(tmp_path)},
        threads=(1,),
        rounds=4,
        visit_ms=1.0,
        exporter="",
    )


def rows_of(plan: Plan, threads: int) -> dict[tuple[str, str], dict[str, Any]]:
    rows, _ = measure(plan, plan.out, MADE, threads, 1_000_000)
    return {(row["contender"], row["runtime"]): row for row in rows}


def test_ratios_and_shares(plan: Plan) -> None:
    rows, rates = measure(plan, plan.out, MADE, 1, 1_000_000)
    assert len(rows) == 10
    ours, onnx = rows[0], next(row for row in rows if row["contender"] == "onnx ours")
    rate = 2 * rate_graph_macs(80, 28) / 1e6 / (STACK_US / 1000)
    assert [row["gflops"] for row in rates] == pytest.approx([rate, rate])
    assert {row["shape"] for row in rates} == {"80x28x28"}
    assert (ours["p50_ms"], ours["ratio"], ours["verdict"]) == (1.0, 1.0, "measured")
    assert ours["share_of_rate"] == pytest.approx(2.0 / rate)
    assert ours["cpu_share_of_rate"] == pytest.approx(ours["share_of_rate"])
    assert ours["difference"] < 1e-6
    assert (onnx["ratio"], onnx["cpu_ratio"], onnx["share_of_rate"]) == (2.0, 2.0, None)


def test_processor_time_is_reported_for_one_thread_alone(plan: Plan) -> None:
    row = rows_of(plan, 2)["ours", "litert"]
    assert (row["ratio"], row["cpu_ratio"], row["cpu_p50_ms"]) == (1.0, None, None)


def test_each_contender_that_is_not_measured_says_why(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"onnx ours": {"reason": "no such operator"}, "onnx torch": {"embedding": [0.8, 0.6]}}
    monkeypatch.setattr(FakeServer, "facts_of", facts)
    rows = rows_of(plan, 1)
    told = {key: (row["verdict"], row["reason"]) for key, row in rows.items()}
    assert told["ours", "tflite-runtime"] == ("failed", "the process died (killed)")
    assert told["onnx ours", "onnxruntime"] == ("failed", "no such operator")
    assert told["onnx torch", "onnxruntime"] == ("failed", "its embedding differs by 2.0e-01")
    assert told["executorch", "executorch"][0] == "not run"
    reason = told["executorch", "executorch"][1]
    assert reason.startswith("use --executorch-python; to create one: python3")
    assert all(row["p50_ms"] is None for row in rows.values() if row["verdict"] != "measured")


def test_without_ours_there_is_nothing_to_compare_with(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeServer, "facts_of", {"ours": {"reason": "no such operator"}})
    with pytest.raises(UserError, match="nothing to compare with: no such operator"):
        rows_of(plan, 1)
