"""`edgecmp doctor`: what it says works is tried, and what does not work is found."""

from __future__ import annotations

import errno
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgecmp.export import doctor as doctor_module
from edgecmp.export import doctor_advice, targets
from edgecmp.export.doctor import DoctorReport, doctor
from edgecmp.export.doctor_network import probe_network
from edgecmp.export.install import no_wheels
from edgecmp.export.runtimes.runners import RUNTIMES, LiteRtRunner, OnnxRunner
from tests.fixtures.runtimes import available, needs_tflite_runtime

Edgecmp = Callable[..., Any]
ON_MAC = sys.platform == "darwin"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """TFLite alone, which is written in no time."""
    monkeypatch.setattr(doctor_module, "targets", lambda: {"tflite": targets()["tflite"]})


def test_everything_is_tried(edgecmp: Edgecmp, tmp_path: Path) -> None:
    result = edgecmp("doctor", "--json", tmp_path / "d.json")
    assert result.code == bool(no_wheels("coremltools")), result.out
    document = json.loads((tmp_path / "d.json").read_text())
    assert document["passed"] == (result.code == 0)
    tried = {(row["target"], row["precision"], row["runtime"]) for row in document["rows"]}
    assert tried == {
        (target.name, precision, runtime.name)
        for target in targets().values()
        for precision in target.precisions
        for runtime in RUNTIMES
        if runtime.target == target.name
    }
    for row in available(document["rows"]):
        if row["runtime"] == "coreml" and not ON_MAC:
            assert (row["verdict"], row["note"]) == ("not here", "needs macOS")
            continue
        assert (row["verdict"], row["note"]) == ("works", "")
        assert row["cosine"] > (0.999 if row["precision"] in ("fp32", "fp16") else 0.9)
        assert row["version"][0].isdigit()
    assert document["packages"]["numpy"] == np.__version__
    assert document["facts"]["torch threads"] >= 1
    assert {"adb", "ssh", "python", "free disk here"} <= document["facts"].keys()
    assert "written and run here" in result.out


def test_the_probe_network_tells_images_apart() -> None:
    """Else any two runtimes would agree."""
    network = probe_network()
    images = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
    images *= np.array([0.1, 0.5, 1, 2])[:, None, None, None]
    embeddings = network(torch.from_numpy(images.astype(np.float32))).numpy()
    cosines = embeddings @ embeddings.T
    assert cosines.min() < 0.95


def verdicts(report: DoctorReport) -> dict[tuple[str, str], tuple[str, str]]:
    return {
        (row["precision"], row["runtime"]): (row["verdict"], row["note"]) for row in report.rows
    }


@pytest.mark.usefixtures("few")
def test_a_runtime_that_computes_something_else(
    monkeypatch: pytest.MonkeyPatch, edgecmp: Edgecmp
) -> None:
    def turned(self: LiteRtRunner, images: Any) -> NDArray[np.float32]:
        embedding: NDArray[np.float32] = np.roll(run(self, images), 1, axis=1)
        return embedding

    run = LiteRtRunner._run
    monkeypatch.setattr(LiteRtRunner, "_run", turned)
    found = verdicts(doctor())
    assert found["fp32", "litert"][0] == "fails"
    assert "computes other embeddings than torch" in found["fp32", "litert"][1]
    assert edgecmp("doctor").code == 1


@pytest.mark.usefixtures("few")
def test_a_missing_runtime_has_its_command(
    monkeypatch: pytest.MonkeyPatch, edgecmp: Edgecmp
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    result = edgecmp("doctor")
    assert "tflite-runtime is not installed" in result.out
    assert result.code == 0, "LiteRT runs the files"
    assert "The runtime tflite-runtime: tflite-runtime is not installed" in result.out
    reason = no_wheels("tflite-runtime")
    assert (reason or "\n  Install it: pip install 'edgecmp[export]'") in result.out


def test_a_missing_writer_has_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_target = targets()["onnx"]
    monkeypatch.setattr(doctor_module, "targets", lambda: {"onnx": onnx_target})
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "onnxsim" else find(name, *rest),
    )
    report = doctor()
    assert not report.passed
    for row in report.rows:
        assert row["runtime"] == OnnxRunner.name
        assert row["verdict"] == "not here"
        assert row["note"] == "cannot be written: needs onnxsim, which is not installed"
    missing = "onnx files: cannot be written: needs onnxsim, which is not installed."
    assert {"missing": missing, "add": "Install it: pip install 'edgecmp[export]'"} in report.advice


@needs_tflite_runtime
@pytest.mark.usefixtures("few")
def test_numpy_2_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "2.1.0")
    report = doctor()
    found = verdicts(report)
    assert found["fp32", "tflite-runtime"][0] == "not here"
    steps = [item["add"] for item in report.advice]
    assert steps.count("Install an older numpy: pip install 'numpy<2'") == 1


@pytest.mark.usefixtures("few")
def test_numpy_2_is_right_where_tflite_runtime_cannot_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = "tflite-runtime has wheels for Linux only, up to Python 3.11"
    monkeypatch.setattr(np, "__version__", "2.1.0")
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    monkeypatch.setattr(
        doctor_advice, "no_wheels", lambda name: reason if name == "tflite-runtime" else ""
    )
    advice = [item["add"] for item in doctor().advice]
    assert f"It cannot be installed here: {reason}." in advice
    assert not any("numpy" in step for step in advice)


@pytest.mark.parametrize(
    ("row", "missing", "step"),
    [
        (
            {"runtime": "coreml", "target": "coreml", "note": "needs macOS"},
            "The runtime coreml: needs macOS.",
            "It runs on a Mac only: run `edgecmp doctor` and `edgecmp parity` there.",
        ),
        (
            {
                "runtime": "tflite-runtime",
                "target": "tflite",
                "note": "cannot be written: needs ai_edge_litert, which is not installed",
            },
            "tflite files: cannot be written: needs ai_edge_litert, which is not installed.",
            "Install it: pip install 'edgecmp[export]'",
        ),
        (
            {
                "runtime": "mil-reference",
                "target": "coreml",
                "note": "cannot be written: needs coremltools, which is not installed",
            },
            "coreml files: cannot be written: needs coremltools, which is not installed.",
            "It cannot be installed here: no wheels.",
        ),
    ],
)
def test_each_advice_is_about_what_is_missing(
    row: dict[str, str], missing: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheels that count are those of the missing package, not those of the row's runtime."""
    without = ("coremltools", "tflite-runtime")
    monkeypatch.setattr(
        doctor_advice, "no_wheels", lambda name: "no wheels" if name in without else ""
    )
    facts = {"adb": "/bin/adb", "ssh": "not found", "free disk here": "9 GB"}
    advice = doctor_advice.advice_on([row | {"verdict": "not here"}] * 2, facts)
    assert advice[0] == {"missing": missing, "add": step}
    ssh = "It is needed only for a board: install an OpenSSH client."
    assert advice[1] == {"missing": "The program ssh: not found.", "add": ssh}


def test_the_progress_of_doctor_is_not_interrupted(edgecmp: Edgecmp) -> None:
    """By what writers say of a network that a user exports."""
    result = edgecmp("doctor")
    assert "kept in float32" not in result.err
    assert all(line.startswith("Trying: ") for line in result.err.splitlines())


@pytest.mark.usefixtures("few")
def test_a_full_disk_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, edgecmp: Edgecmp
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))

    def no_folder() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", no_folder)
    result = edgecmp("doctor")
    assert result.code == 2
    assert f"Temporary files cannot be written to {tmp_path}/none: No such file" in result.err
    assert "environment variable TMPDIR" in result.err
