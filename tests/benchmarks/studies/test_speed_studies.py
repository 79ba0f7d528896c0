"""The studies of speed run with few rounds; what they assert of their figures holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.paper.published import published
from edgecmp.benchmarks.peers import convert
from edgecmp.benchmarks.studies import (
    depthwise_gradient,
    evaluation_speed,
    flops_table,
    latency_study,
    published_flops,
    supernet_speed,
)
from edgecmp.export.runtimes.open import read_metadata
from edgecmp.networks.architecture import Architecture
from tests.fixtures.latency_tables import make_table


def test_the_flops_table_has_no_mismatch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, few in (("CANDIDATES", 1000), ("ROUNDS", 1), ("NETWORKS", 1)):
        monkeypatch.setattr(flops_table, name, few)
    monkeypatch.setattr(sys, "argv", ["flops_table"])
    flops_table.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.endswith("0 mismatches of 1") for line in lines)


def test_a_published_figure_is_reproduced() -> None:
    (row,) = [row for row in published("mflops").rows if row["baseline"] == "mobilenet_wd2"]
    measured = published_flops.measure(row)
    assert published_flops.reproduced(measured)
    assert measured["difference"] == pytest.approx(0, abs=0.01)


def test_a_table_that_predicts_every_network_has_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table()

    def exact(table: LatencyTable, networks: list[Architecture]) -> list[float]:
        return [table.predict(network) for network in networks]

    monkeypatch.setattr(latency_study, "measure_networks", exact)
    monkeypatch.setattr(LatencyTable, "require_lowering", lambda self, fingerprint: None)
    rows = {row["predictor"]: row for row in latency_study.study(table, 20)}
    assert rows["table"]["mape"] == pytest.approx(0, abs=1e-9)
    (flops,) = [row for name, row in rows.items() if name.startswith("FLOPs")]
    assert flops["mape"] > 0


def test_our_depthwise_gradient_is_torchs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(depthwise_gradient, "MAPS", depthwise_gradient.MAPS[-1:])
    monkeypatch.setattr(depthwise_gradient, "NETWORKS", ())
    out = tmp_path / "rows.json"
    depthwise_gradient.main(["--batch", "2", "--turns", "1", "--json", str(out)])
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 6
    assert max(row["difference"] for row in rows) < 1e-4


def test_supernet_speed_measures_training() -> None:
    network = SupernetBundle.load(kit.path("supernet")).network
    assert supernet_speed.training_rows(network, 16, 1)


@pytest.mark.slow
def test_candidates_have_the_rewards_of_the_reference() -> None:
    bundle = SupernetBundle.load(kit.path("supernet"))
    evaluations, differences = evaluation_speed.evaluation_rows(bundle, 3, 0)
    assert evaluations
    assert max(differences.values()) < 1e-6


def test_a_conversion_is_timed(tmp_path: Path) -> None:
    document = convert.convert("onnx-ours", kit.path("query"), tmp_path / "query")
    files: dict[str, Any] = document["files"]
    assert files["fp32"]["seconds"] > 0
    assert read_metadata(tmp_path / files["fp32"]["file"]).target == "onnx"
