"""`edgecmp.export` has functions called `parity` and `targets`, whatever was imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest

import edgecmp.export.formats.registry as registry
from edgecmp.errors import UserError
from edgecmp.export import target, targets

CHECK = """
import edgecmp.export
from edgecmp.errors import UserError
from edgecmp.export import export, parity, register_target, target, targets

assert list(targets()) == ["tflite", "coreml", "onnx"]
assert edgecmp.export.targets is targets
assert edgecmp.export.parity is parity
assert target("onnx") is targets()["onnx"]
import edgecmp.export.parity.verdict as verdict
assert verdict.judge
try:
    parity([])
except UserError as error:
    assert "at least one file" in error.what
else:
    raise AssertionError("parity() accepted no file")
"""


@pytest.mark.slow(quick=["import edgecmp.export"])
@pytest.mark.parametrize(
    "first",
    [
        "import edgecmp.export",
        "import edgecmp.export.parity.verdict",
        "from edgecmp.export.parity.run import parity",
        "import edgecmp.export.formats.registry",
        "from edgecmp.export.formats.onnx import writer",
        "import edgecmp.export.runtimes.mil.program",
    ],
)
def test_the_functions_are_found_after_any_first_import(first: str) -> None:
    code = f"{first}\n{CHECK}import edgecmp.export.parity.case\n{CHECK}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_registered_target_is_listed_after_the_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    targets()  # the formats register themselves when they are imported: before the copy is made
    monkeypatch.setattr(registry, "_TARGETS", dict(registry._TARGETS))
    tflite = target("tflite")
    registry.register_target("ncnn", suffix=".ncnn", precisions=("fp32",), read=tflite.read)(
        tflite.write
    )
    assert list(targets()) == ["tflite", "coreml", "onnx", "ncnn"]
    assert target("ncnn").inputs == registry.INPUTS
    with pytest.raises(UserError, match="tflite, coreml, onnx, ncnn"):
        target("ncnm")
