"""The TFLite writer, run in both runtimes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from edgecmp.errors import UserError
from edgecmp.export.formats.tflite.flatbuffer import ALIGNMENT
from edgecmp.export.formats.tflite.writer import tflite_bytes
from edgecmp.export.lowering import LoweredNet, lower
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.tiers import DEPTH
from tests.export.tflite_reference import embed, min_cosine
from tests.fixtures.runtimes import each_module

MakeNetwork = Callable[[Architecture, int], QueryNet]
MakeImages = Callable[[int, int, int], Tensor]

CASES = [
    *(
        Architecture(tier="100M", blocks=(b,) * DEPTH, widths=tuple(range(10)) * 2, input_size=64)
        for b in range(4)
    ),
    Architecture.random("330M", seed=1, input_size=64),
    Architecture.random("230M", seed=2, embedding_dim=64, input_size=96),
    Architecture.random("100M", seed=3, embedding_dim=16, input_size=75),
]


@each_module
@pytest.mark.parametrize("case", range(len(CASES)))
def test_agrees_with_torch(
    case: int, runtime: str, random_network: MakeNetwork, images: MakeImages
) -> None:
    network = random_network(CASES[case], case)
    batch = images(3, CASES[case].input_size, 50)
    with torch.no_grad():
        expected = network(batch)
    assert (expected[0] @ expected[1]) < 0.99  # different images stay different
    found = embed(runtime, tflite_bytes(lower(network)), batch)
    assert found.shape == expected.shape
    assert min_cosine(found, expected) >= 0.99999


@each_module
def test_fp16_rounds_the_weights_and_nothing_else(
    runtime: str, random_network: MakeNetwork, images: MakeImages
) -> None:
    network = random_network(CASES[4], 4)
    batch = images(3, 64, 50)
    model = tflite_bytes(lower(network), precision="fp16")
    assert len(model) < 0.56 * len(tflite_bytes(lower(network)))
    found = embed(runtime, model, batch)
    assert min_cosine(found, _with_float16_weights(lower(network))(batch)) >= 0.99999
    with torch.no_grad():
        assert min_cosine(found, network(batch)) >= 0.9995


@pytest.mark.parametrize("name", ["fold_bn", "fold_shuffle", "narrow_concat", "split_depthwise"])
def test_writes_what_was_not_rewritten(
    name: str, random_network: MakeNetwork, images: MakeImages
) -> None:
    network = random_network(CASES[2], 2)
    batch = images(2, 64, 50)
    model = tflite_bytes(lower(network, without=(name,)))
    with torch.no_grad():
        assert min_cosine(embed("ai_edge_litert", model, batch), network(batch)) >= 0.99999


def test_refuses_weights_beyond_float16() -> None:
    network = CASES[0].build()
    with torch.no_grad():
        network.embedding.linear.weight[0, 0] = 1e5
    with pytest.raises(UserError, match=r"linear.*e\+0.*--precision fp32"):
        tflite_bytes(lower(network), precision="fp16")


def test_refuses_padding_that_the_format_lacks() -> None:
    with pytest.raises(ValueError, match="pad_stride2"):
        tflite_bytes(lower(CASES[0].build(), without=("pad_stride2",)))


def test_same_network_same_bytes() -> None:
    network = lower(CASES[0].build())
    assert tflite_bytes(network, document=b"{}") == tflite_bytes(network, document=b"{}")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_follows_the_format(precision: str) -> None:
    model = tflite_bytes(lower(CASES[2].build()), precision=precision, document=b"{}")
    parsed = schema.ModelT.InitFromPackedBuf(model)
    (graph,) = parsed.subgraphs
    names = [tensor.name for tensor in graph.tensors]
    assert len(set(names)) == len(names)
    assert max(code.version for code in parsed.operatorCodes) <= 3
    for index in range((root := schema.Model.GetRootAs(model)).BuffersLength()):
        if not (buffer := root.Buffers(index)).DataIsNone():
            start = buffer.DataAsNumpy().__array_interface__["data"][0]
            base = np.frombuffer(model, np.uint8).__array_interface__["data"][0]
            assert (start - base) % ALIGNMENT == 0


def _with_float16_weights(network: LoweredNet) -> LoweredNet:
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.copy_(parameter.half())
    return network
