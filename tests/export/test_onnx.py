"""The ONNX writer, run in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from edgecmp.architecture import Architecture
from edgecmp.export.lowering import LoweredNet, lower
from edgecmp.export.onnx import halve_weights, onnx_model
from edgecmp.export.registry import target
from edgecmp.networks.query import QueryNet

MakeNetwork = Callable[[Architecture, int], QueryNet]
MakeImages = Callable[[int, int, int], Tensor]

ARCHITECTURE = Architecture(
    tier="100M", blocks=(0, 1, 2, 3) * 5, widths=tuple(range(10)) * 2, input_size=64
)


def test_agrees_with_torch_at_any_batch_size(
    live_network: MakeNetwork, images: MakeImages, capfd: pytest.CaptureFixture[str]
) -> None:
    network = lower(live_network(ARCHITECTURE, 1), without=target("onnx").without)
    model = onnx_model(network)
    assert capfd.readouterr() == ("", "")
    whole = model.SerializeToString()
    assert b"site-packages" not in whole
    _check(whole, network, images)
    halve_weights(model)
    half = model.SerializeToString()
    assert len(half) < 0.56 * len(whole)
    _check(half, _halve(network), images)


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


def _halve(network: LoweredNet) -> LoweredNet:
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.copy_(parameter.half())
    return network
