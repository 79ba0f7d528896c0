"""The ONNX writer, run in ONNX Runtime."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import onnxsim
import pytest
import torch
from torch import Tensor, nn

from edgecmp.export.formats.onnx.graph import write_graph
from edgecmp.export.formats.onnx.writer import onnx_model, store_float16_weights
from edgecmp.export.formats.registry import target
from edgecmp.export.lowering import LoweredNet, lower
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.baselines import BASELINES, random_baseline
from edgecmp.networks.query import QueryNet
from edgecmp.preprocessing import Preprocessing

MakeNetwork = Callable[[Architecture, int], QueryNet]
MakeImages = Callable[[int, int, int], Tensor]

ARCHITECTURE = Architecture(
    tier="100M", blocks=(0, 1, 2, 3) * 5, widths=tuple(range(10)) * 2, input_size=64
)


def test_agrees_with_torch_at_any_batch_size(
    random_network: MakeNetwork, images: MakeImages, capfd: pytest.CaptureFixture[str]
) -> None:
    network = lower(random_network(ARCHITECTURE, 1), without=target("onnx").without)
    model = onnx_model(network)
    assert capfd.readouterr() == ("", "")
    whole = model.SerializeToString()
    assert b"site-packages" not in whole
    _check(whole, network, images)
    store_float16_weights(model)
    smaller = model.SerializeToString()
    assert len(smaller) < 0.56 * len(whole)
    _check(smaller, _with_float16_weights(network), images)


def _check(model: bytes, network: LoweredNet, images: MakeImages) -> None:
    """ONNX Runtime and torch embed alike, whatever the batch."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        batch = images(count, ARCHITECTURE.input_size, 9)
        expected = network(batch)
        (found,) = session.run(["embedding"], {"image": batch.numpy()})
        assert found.dtype == np.float32
        assert found.shape == expected.shape
        assert float((torch.from_numpy(found) * expected).sum(1).min()) >= 0.99999


def _with_float16_weights(network: LoweredNet) -> LoweredNet:
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.copy_(parameter.half())
    return network


class Pixels(nn.Module):
    """A lowered network that reads pixels, for images as they lie in memory."""

    def __init__(self, network: LoweredNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Pixels uint8 (N, S, S, 3) to embeddings (N, D)."""
        result: Tensor = self.network(image.permute(0, 3, 1, 2).float())
        return result


@pytest.mark.slow(quick=["ours-image", "mobilenetv3_large_w1-tensor", "shufflenet_g1_w1-tensor"])
@pytest.mark.parametrize("reads", ["tensor", "image"])
@pytest.mark.parametrize("name", ["ours", *BASELINES])
def test_is_what_torchs_exporter_writes(
    name: str, reads: str, random_network: MakeNetwork, images: MakeImages, tmp_path: Path
) -> None:
    """Bit for bit in ONNX Runtime, at a batch size that the exporter was not shown."""
    network = random_network(ARCHITECTURE, 1) if name == "ours" else random_baseline(name, 64, 1)
    pixels = Preprocessing(input_size=64) if reads == "image" else None
    lowered = lower(network, input_size=64, pixels=pixels, without=target("onnx").without)
    batch, module = images(3, 64, 9), cast(nn.Module, lowered)
    if pixels is not None:
        batch = torch.randint(256, (3, 64, 64, 3), dtype=torch.uint8)
        module = Pixels(lowered)
    theirs = tmp_path / "theirs.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (batch[:2],),
            theirs,
            dynamo=False,
            opset_version=18,
            input_names=["image"],
            output_names=["embedding"],
            dynamic_axes={"image": {0: "batch"}, "embedding": {0: "batch"}},
        )
    ours = onnx_model(lowered).SerializeToString()
    found, expected = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(
            ["embedding"], {"image": batch.numpy()}
        )[0]
        for model in (ours, theirs.read_bytes())
    )
    assert np.array_equal(found, expected)


@pytest.mark.slow(quick=["ours", "mobilenetv3_large_w1", "shufflenet_g1_w1"])
@pytest.mark.parametrize("name", ["ours", "mobilenetv3_large_w1", "shufflenet_g1_w1", "resnet101"])
def test_leaves_nothing_to_simplify(name: str, random_network: MakeNetwork) -> None:
    network = random_network(ARCHITECTURE, 1) if name == "ours" else random_baseline(name, 64, 1)
    preprocessing = Preprocessing(input_size=64)
    graph = lower(network, pixels=preprocessing, without=target("onnx").without).graph
    model = write_graph(graph)
    assert _operators(onnxsim.simplify(model)[0]) == _operators(model)
    produced = {output for node in model.graph.node for output in node.output}
    assert {node.name for node in graph} <= produced


def _operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)
