"""ONNX files have the lowest IR version that their operators need, and old runtimes run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from torch import Tensor

from edgecmp.export.formats.onnx.writer import onnx_model, store_float16_weights
from edgecmp.export.formats.registry import target
from edgecmp.export.lowering import lower
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.preprocessing import Preprocessing

OLDEST = "1.15.0"
"""Of ONNX Runtime: the first release with wheels for Python 3.11."""
ARCHITECTURE = Architecture(
    tier="100M", blocks=(0, 1, 2, 3) * 5, widths=tuple(range(10)) * 2, input_size=64
)
KINDS = ("fp32", "fp16", "image")
PROGRAM = """
import sys
import numpy, onnxruntime
assert onnxruntime.__version__ == sys.argv[1], onnxruntime.__version__
for kind in sys.argv[2:]:
    session = onnxruntime.InferenceSession(f"{kind}.onnx", providers=["CPUExecutionProvider"])
    images = numpy.load("pixels.npy" if kind == "image" else "planes.npy")
    numpy.save(f"{kind}.found.npy", session.run(["embedding"], {"image": images})[0])
"""

Write = Callable[[str], onnx.ModelProto]


@pytest.fixture
def model(random_network: Callable[[Architecture, int], QueryNet]) -> Write:
    """model(kind): a random network as `edgecmp export` writes it."""

    def make(kind: str) -> onnx.ModelProto:
        pixels = Preprocessing(input_size=64) if kind == "image" else None
        network = random_network(ARCHITECTURE, 1)
        made = onnx_model(lower(network, without=target("onnx").without, pixels=pixels))
        if kind == "fp16":
            store_float16_weights(made)
        return made

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_files_have_the_lowest_ir_version(kind: str, model: Write) -> None:
    written = model(kind)
    versions = {(entry.domain, entry.version) for entry in written.opset_import}
    assert versions == {("", 18)}
    lowest = helper.find_min_ir_version_for([helper.make_opsetid("", 18)])
    assert written.ir_version == lowest == 8


@pytest.mark.packaging
@pytest.mark.skipif(
    sys.version_info >= (3, 12) or sys.platform != "linux", reason="there is no wheel of that age"
)
def test_the_oldest_runtime_embeds_alike(
    model: Write, images: Callable[[int, int, int], Tensor], tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    wheels = (f"onnxruntime=={OLDEST}", "numpy<2")
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "install", "--quiet", *wheels],
    ):
        subprocess.run(command, check=True, timeout=300)
    planes = images(3, ARCHITECTURE.input_size, 9).numpy()
    pixels = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8)
    np.save(tmp_path / "planes.npy", planes)
    np.save(tmp_path / "pixels.npy", pixels)
    for kind in KINDS:
        (tmp_path / f"{kind}.onnx").write_bytes(model(kind).SerializeToString())
    subprocess.run(
        [str(python), "-c", PROGRAM, OLDEST, *KINDS], check=True, cwd=tmp_path, timeout=300
    )
    for kind in KINDS:
        session = onnxruntime.InferenceSession(
            tmp_path / f"{kind}.onnx", providers=["CPUExecutionProvider"]
        )
        given = pixels if kind == "image" else planes
        (expected,) = session.run(["embedding"], {"image": given})
        np.testing.assert_allclose(np.load(tmp_path / f"{kind}.found.npy"), expected, atol=1e-6)
