"""Files in the runtimes of a remote machine, as rows of the parity report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecmp.benchmarks.devices import open_device
from edgecmp.errors import UserError
from edgecmp.export import export
from edgecmp.export.runtimes.open import read_metadata
from edgecmp.export.runtimes.openers import RuntimeRefusedError
from edgecmp.export.runtimes.remote import RemoteRunner, try_remote_runtimes
from edgecmp.export.runtimes.runners import OnnxRunner
from tests.fixtures.runtimes import TFLITE_RUNTIMES, available


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(target="tflite", out=tmp_path_factory.mktemp("files") / "query.tflite").path


def test_parity_runs_files_on_a_device_too(
    file: Path, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    report = tmp_path / "parity.json"
    result = edgecmp("parity", file, "--device", "local", "--limit", 20, "--json", report)
    assert result.code == 0, result.err
    document = json.loads(report.read_text())
    assert document["queries"] == 20
    rows = {row["runtime"]: row for row in available(document["rows"])}
    assert set(rows) == {name + place for name in TFLITE_RUNTIMES for place in ("", " on local")}
    for row in rows.values():
        assert row["verdict"] == "pass"
        assert row["min_cosine"] > 0.99999
    assert rows["litert on local"]["latency_ms"] is None


def test_onnx_files_get_planes(exported: Callable[..., Path]) -> None:
    file = exported("onnx", "fp32")
    metadata = read_metadata(file)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with open_device("local") as device:
        (remote,), _ = try_remote_runtimes(device, file, metadata)
        assert remote.name == "onnxruntime on local"
        found = remote.embed(pixels)
    assert np.abs(found - OnnxRunner(file, metadata).embed(pixels)).max() < 1e-6


class Faulty:
    """A machine that fails in the middle of a batch."""

    name = "faulty"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def runtimes_for(self, suffix: str) -> dict[str, str]:
        return {"tflite-runtime": "", "litert": f"it has no {suffix}"}

    def compute(self, model: Path, inputs: NDArray[Any], *, runtime: str) -> NDArray[Any]:
        raise self.error


def test_a_lost_machine_says_nothing_about_the_file(file: Path) -> None:
    metadata = read_metadata(file)
    pixels = np.zeros((2, 64, 64, 3), np.uint8)
    lost = UserError("It was lost.", "Connect it again.")
    runners, unusable = try_remote_runtimes(Faulty(lost), file, metadata)
    assert [entry.reason for entry in unusable] == ["it has no .tflite"]
    with pytest.raises(UserError, match="It was lost"):
        runners[0].embed(pixels)
    refuses = RemoteRunner(file, metadata, Faulty(RuntimeError("no such op")), "tflite-runtime")
    with pytest.raises(RuntimeRefusedError, match="no such op"):
        refuses.embed(pixels)
