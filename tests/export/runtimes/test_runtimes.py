"""Every target in every runtime that loads it, and the messages where one is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.errors import UserError
from edgecmp.export import targets
from edgecmp.export.install import no_wheels
from edgecmp.export.runtimes.open import open_model, read_metadata, runtimes_for, try_runtimes
from edgecmp.networks.embed import embed
from tests.fixtures.runtimes import needs_tflite_runtime

Make = Callable[..., Path]
ON_MAC = sys.platform == "darwin"


@pytest.mark.parametrize(
    ("target", "input"), [(t.name, given) for t in targets().values() for given in t.inputs]
)
def test_every_runtime_gives_the_networks_embeddings(
    target: str, input: str, exported: Make, query_folder: Path, images: Callable[..., torch.Tensor]
) -> None:
    bundle = QueryBundle.load(query_folder)
    pixels = ((images(3, 64, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).contiguous().numpy()
    expected = embed(bundle.network, pixels, bundle.preprocessing)
    opened = open_model(exported(target, "fp32", input))
    assert {runner.name for runner in opened} == {
        runtime.name
        for runtime in runtimes_for(target)
        if (ON_MAC or runtime.name != "coreml") and not no_wheels(runtime.package)
    }
    for runner in opened:
        assert (runner.target, runner.precision) == (target, "fp32")
        assert runner.version[0].isdigit()
        found = runner.embed(pixels)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_opening_a_file_prints_nothing(exported: Make, capfd: pytest.CaptureFixture[str]) -> None:
    path = exported("tflite", "fp32")
    capfd.readouterr()
    open_model(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(ON_MAC, reason="Core ML is available on macOS")
def test_core_ml_needs_macos(exported: Make) -> None:
    path = exported("coreml", "fp32")
    opened, unusable = try_runtimes(path, read_metadata(path))
    assert [runner.name for runner in opened] == ["mil-reference"]
    assert [(entry.runtime, entry.refused, entry.reason) for entry in unusable] == [
        ("coreml", False, "needs macOS")
    ]


@needs_tflite_runtime
def test_tflite_runtime_is_left_alone_under_numpy_2(
    exported: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exported("tflite", "fp32")
    monkeypatch.setattr(np, "__version__", "2.1.0")
    opened, unusable = try_runtimes(path, read_metadata(path))
    assert [runner.name for runner in opened] == ["litert"]
    assert unusable[0].reason == "needs numpy < 2, but numpy 2.1.0 is installed"
    assert not unusable[0].refused


def test_a_missing_runtime_is_named(exported: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"onnxruntime is not installed.*pip install"):
        open_model(exported("onnx", "fp32"))


def test_a_missing_reader_is_named(exported: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported("onnx", "fp32")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"needs a package that is not installed.*pip install"):
        open_model(path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("net.tflit", "Unknown kind of model file 'net.tflit'.*tflite"),
        ("nowhere.onnx", "nowhere.onnx does not exist"),
    ],
)
def test_what_is_no_model_file_is_refused(tmp_path: Path, name: str, says: str) -> None:
    if name == "net.tflit":
        (tmp_path / name).write_bytes(b"?")
    with pytest.raises(UserError, match=says):
        open_model(tmp_path / name)


@pytest.mark.parametrize("target", ["tflite", "onnx"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(
    exported: Make, tmp_path: Path, target: str, share: float
) -> None:
    whole = exported(target, "fp32").read_bytes()
    cut = tmp_path / f"cut{targets()[target].suffix}"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match="cut"):
        open_model(cut)


def test_a_file_under_another_suffix_is_refused(exported: Make, tmp_path: Path) -> None:
    wrong = tmp_path / "net.onnx"
    wrong.write_bytes(exported("tflite", "fp32").read_bytes())
    with pytest.raises(UserError, match=r"net\.onnx"):
        open_model(wrong)
