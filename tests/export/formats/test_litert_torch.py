"""Optional: litert-torch's conversion of the lowered module and our writer's file agree.

litert-torch needs 0.9 GB and packages that ours exclude, so it has an environment of its own:
EDGECMP_LITERT_TORCH_PYTHON names its Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from edgecmp.benchmarks.peers.conversion import convert
from edgecmp.benchmarks.peers.environment import ENVIRONMENTS, Environment
from edgecmp.benchmarks.peers.networks import prepare
from edgecmp.export.formats.tflite.writer import tflite_bytes
from edgecmp.export.lowering import lower
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.random_weights import random_network
from edgecmp.networks.tiers import BLOCKS, DEPTH

PYTHON = os.environ.get("EDGECMP_LITERT_TORCH_PYTHON")

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(
        not PYTHON,
        reason="EDGECMP_LITERT_TORCH_PYTHON names no Python with litert-torch; make one with: "
        f"{ENVIRONMENTS['litert-torch']} && "
        "export EDGECMP_LITERT_TORCH_PYTHON=litert-torch/bin/python",
    ),
]

CASES = {
    "random": Architecture.random("100M", seed=5, embedding_dim=32, input_size=64),
    "odd size": Architecture.random("230M", seed=6, embedding_dim=32, input_size=65),
    "all 7x7": Architecture(
        tier="330M",
        blocks=(BLOCKS.index("shuffle7"),) * DEPTH,
        widths=(4,) * DEPTH,
        embedding_dim=32,
        input_size=64,
    ),
}


def embed(model: bytes, image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The embedding (D,) of one image (1, 3, S, S) in LiteRT, in the file's own layout."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (entry,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    channels_last = entry["shape"][-1] == 3
    values = image.permute(0, 2, 3, 1).contiguous() if channels_last else image
    interpreter.set_tensor(entry["index"], values.numpy())
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(result["index"])).reshape(-1)


@pytest.mark.parametrize("name", list(CASES))
def test_gives_the_embeddings_of_our_writer(
    name: str, tmp_path: Path, images: Callable[[int, int, int], Tensor]
) -> None:
    assert PYTHON is not None
    architecture = CASES[name]
    environment = Environment(python=Path(PYTHON).absolute(), link=tmp_path / "path")
    network = prepare(architecture, tmp_path)
    made = convert("litert-torch-lowered", environment, network, tmp_path, key="test")
    assert "files" in made, made
    theirs = (tmp_path / made["files"]["fp32"]["file"]).read_bytes()
    ours = tflite_bytes(lower(random_network(architecture, 0)))
    batch = images(3, architecture.input_size, 11)
    found = np.stack([[embed(model, image[None]) for model in (ours, theirs)] for image in batch])
    with torch.no_grad():
        expected = random_network(architecture, 0)(batch).numpy()
    assert np.abs(found[:, 0] - found[:, 1]).max() < 1e-4
    assert np.abs(found[:, 1] - expected).max() < 1e-4
    assert np.abs(expected[0] - expected[1]).max() > 1e-2  # else agreement would mean nothing
