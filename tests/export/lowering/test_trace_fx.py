"""The baselines as graphs: traced, rewritten and written, they compute what torch computes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorchcv.model_provider import get_model
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.export.formats.onnx.writer import onnx_model
from edgecmp.export.formats.tflite.writer import tflite_bytes
from edgecmp.export.lowering import (
    REWRITES,
    Graph,
    LoweredNet,
    lower_graph,
    trace_module,
)
from edgecmp.export.lowering.baseline_nodes import Activation, MaxPool, Shuffle
from edgecmp.export.lowering.fold_shuffle import fold_shuffle
from edgecmp.export.lowering.graph import IMAGE, Affine, Conv, Mean, Take
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.networks.baselines import BASELINES, BaselineNet, build_baseline, random_baseline
from edgecmp.networks.gallery import build_gallery
from edgecmp.networks.random_weights import patch_images
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.preprocessing import Preprocessing
from tests.export.coreml_reference import convert
from tests.export.tflite_reference import embed, min_cosine
from tests.fixtures.runtimes import MODULES, each_module

SMALL = tuple(name for name in BASELINES if name != "resnet101")


@functools.cache
def baseline(name: str) -> BaselineNet:
    """One with random weights, for images of 64 pixels."""
    return random_baseline(name, 64, 0)


def check(graph: Graph, network: Callable[[Tensor], Tensor], size: int) -> None:
    """Equal in float32 and, if the graph is exact, in float64."""
    batch = patch_images(2, size, 7)
    with torch.no_grad():
        expected = network(batch)
        assert (expected[0] - expected[1]).abs().max() > 1e-2  # else agreement would mean nothing
        found = LoweredNet(graph.to(torch.float32))(batch)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-4


def check_exactly(graph: Graph, network: nn.Module, size: int) -> None:
    """Equal but for the last bits; the network is in float64."""
    batch = patch_images(2, size, 7).double()
    with torch.no_grad():
        assert (LoweredNet(graph)(batch) - network(batch)).abs().max() < 1e-10


@pytest.mark.slow(
    quick=[
        "mobilenet_wd2",
        "mobilenetv3_large_w1",
        "shufflenet_g1_w1",
        "shufflenetv2_w1",
        "proxylessnas_mobile",
    ]
)
@pytest.mark.parametrize("name", BASELINES)
def test_equals_the_baseline(name: str) -> None:
    network = random_baseline(name, 64, 1)
    traced = trace_module(network, 64)
    lowered = lower_graph(traced)
    check(traced, network, 64)
    check(lowered, network, 64)
    network.double()
    check_exactly(traced, network, 64)
    check_exactly(lowered, network, 64)
    assert any(isinstance(node, Affine) for node in traced)
    assert not any(isinstance(node, Affine | Shuffle) for node in lowered)
    assert lowered.nodes[-1].name == "embedding"
    assert all(node.step == 1 for node in lowered if isinstance(node, Take))


@pytest.mark.slow(quick=["fold_bn", "fold_shuffle"])
@pytest.mark.parametrize("rewrite", REWRITES)
@settings(max_examples=4)
@given(name=st.sampled_from(SMALL), size=st.sampled_from([64, 65, 96]), seed=st.integers(0, 99))
def test_each_rewrite_alone_is_exact(rewrite: str, name: str, size: int, seed: int) -> None:
    network = random_baseline(name, size, seed).double()
    graph = REWRITES[rewrite](trace_module(network, size))
    check_exactly(graph, network, size)


def test_equals_the_gallery_network() -> None:
    torch.manual_seed(0)
    network = build_gallery("resnet18s", embedding_dim=32, input_size=64)
    recalibrate(network, [patch_images(8, 64, 1)])
    graph = lower_graph(trace_module(network, 64))
    check(graph, network, 64)
    network.double()
    with torch.no_grad():  # its own forward rounds to float32
        batch = patch_images(2, 64, 7).double()
        exact = F.normalize(network.embedding(network.features(batch).mean((2, 3))), dim=1)
        assert (LoweredNet(graph)(batch) - exact).abs().max() < 1e-10


@pytest.mark.parametrize("name", ["mobilenetv2_w1", "mobilenetv3_large_w1", "resnet18"])
def test_equals_the_classifier_as_it_comes(name: str) -> None:
    """A pooling of 7 x 7 pixels, at the size it was built for."""
    torch.manual_seed(0)
    network = get_model(name, num_classes=16).eval().double()
    graph = trace_module(network, 224)
    batch = patch_images(2, 224, 7).double()
    with torch.no_grad():
        expected = network(batch)
        assert expected.std() > 1e-6
        assert (LoweredNet(graph)(batch) - expected).abs().max() < 1e-10 * expected.abs().max()


def test_reads_pixels() -> None:
    network = random_baseline("mobilenet_wd2", 64, 0).double()
    pixels = Preprocessing(input_size=64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    image = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    graph = lower_graph(trace_module(network, 64, pixels))
    assert graph.reads_pixels
    means, stds = (
        torch.tensor(values, dtype=torch.float64)[:, None, None]
        for values in (pixels.mean, pixels.std)
    )
    with torch.no_grad():
        expected = network((image.double() / 255 - means) / stds)
        assert (LoweredNet(graph)(image.double()) - expected).abs().max() < 1e-10


def test_folds_every_shuffle_of_shufflenetv2() -> None:
    graph = trace_module(baseline("shufflenetv2_w1"), 64)
    assert sum(isinstance(node, Shuffle) for node in graph) == 16
    folded = fold_shuffle(graph)
    assert not any(isinstance(node, Shuffle) for node in folded)


@settings(max_examples=30)
@given(
    kernel=st.integers(2, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
    ceil_mode=st.booleans(),
    size=st.integers(5, 12),
    runtime=st.sampled_from(MODULES),
)
def test_max_pooling_of_any_window(
    kernel: int, stride: int, padding: int, ceil_mode: bool, size: int, runtime: str
) -> None:
    conv = nn.Conv2d(3, 4, 1)
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
    network = nn.Sequential(conv, nn.ReLU(), pool, nn.AdaptiveAvgPool2d(1))
    graph = lower_graph(trace_module(network, size))
    batch = patch_images(1, size, 0)
    with torch.no_grad():
        expected = network(batch).flatten(1)
        lowered = LoweredNet(graph.to(torch.float32))
        assert torch.allclose(lowered(batch), expected, atol=1e-6)
    found = embed(runtime, tflite_bytes(lowered), batch)
    assert np.allclose(found, expected.numpy(), atol=1e-5)


def test_refuses_a_max_pooling_whose_padding_could_win() -> None:
    """Zeros around negative values are the largest: nothing below them can be padded with."""
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(1))
    graph = lower_graph(trace_module(network, 8))
    assert any(isinstance(node, MaxPool) and node.padding == 1 for node in graph)
    with pytest.raises(ValueError, match="cannot pad"):
        tflite_bytes(LoweredNet(graph.to(torch.float32)))


class Shared(nn.Module):
    """Reads a value both before and after its ReLU, or what a ReLU in place leaves of it."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        z = self.relu(y)
        result: Tensor = (y + z).mean((2, 3))
        return result


@pytest.mark.parametrize("inplace", [True, False])
def test_knows_what_a_relu_in_place_overwrites(inplace: bool) -> None:
    torch.manual_seed(0)
    network = Shared(inplace).double()
    graph = lower_graph(trace_module(network, 8))
    assert any(isinstance(node, Activation) for node in graph) is not inplace
    check_exactly(graph, network, 8)
    batch = patch_images(2, 8, 7)
    found = embed("ai_edge_litert", tflite_bytes(LoweredNet(graph.to(torch.float32))), batch)
    with torch.no_grad():
        assert np.allclose(found, network(batch.double()).numpy(), atol=1e-5)


class Grouped(nn.Module):
    """Does what the lowering cannot say."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x).mean((2, 3))
        return result


class Branching(nn.Module):
    """Looks at its values."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else -x.mean((2, 3))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Grouped(nn.PReLU()), r"PReLU \(layer\).*supports: .*Conv2d.*ReLU6"),
        (Grouped(nn.Conv2d(3, 6, 1, groups=3)), "groups of several channels"),
        (Grouped(nn.Conv2d(3, 6, 3, padding="same")), "padding"),
        (Grouped(nn.AvgPool2d(3, 2, 1, count_include_pad=False)), "divisor"),
        (Grouped(nn.AdaptiveAvgPool2d(2)), "more than one pixel"),
        (nn.Sequential(nn.Conv2d(3, 4, 1)), "feature map as the output"),
        (Branching(), "not a plain feed-forward network"),
        (get_model("mobilenet_wd4"), "7 x 7"),
    ],
)
def test_refuses_what_it_does_not_know(network: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=message):
        trace_module(network, 64)


@functools.cache
def lowered(name: str, without: tuple[str, ...] = ()) -> LoweredNet:
    """The baseline as it is written."""
    graph = lower_graph(trace_module(baseline(name), 64), without=without)
    return LoweredNet(graph.to(torch.float32))


@each_module
@pytest.mark.parametrize("name", BASELINES)
def test_the_tflite_file_agrees(name: str, runtime: str) -> None:
    batch = patch_images(2, 64, 7)
    model = tflite_bytes(lowered(name))
    with torch.no_grad():
        assert min_cosine(embed(runtime, model, batch), baseline(name)(batch)) >= 0.99999
    parsed = schema.ModelT.InitFromPackedBuf(model)
    assert max(code.version for code in parsed.operatorCodes) <= 2


@pytest.mark.parametrize("name", ["mobilenetv3_large_w1", "shufflenet_g1_w1", "shufflenetv2_w1"])
@each_module
def test_writes_what_was_not_rewritten(name: str, runtime: str) -> None:
    network = lowered(name, ("fold_bn", "fold_shuffle", "split_depthwise"))
    batch = patch_images(2, 64, 7)
    with torch.no_grad():
        expected = baseline(name)(batch)
    assert min_cosine(embed(runtime, tflite_bytes(network), batch), expected) >= 0.99999


@pytest.mark.parametrize("precision", ["fp16", "int8-weights"])
@pytest.mark.parametrize("name", ["mobilenetv3_large_w1", "proxylessnas_mobile"])
def test_stores_smaller_weights(name: str, precision: str) -> None:
    batch = patch_images(2, 64, 7)
    whole, smaller = (tflite_bytes(lowered(name), precision=p) for p in ("fp32", precision))
    assert len(smaller) < {"fp16": 0.56, "int8-weights": 0.32}[precision] * len(whole)
    with torch.no_grad():
        found = embed(MODULES[-1], smaller, batch)
        assert min_cosine(found, baseline(name)(batch)) >= 0.98


def test_relus_run_inside_the_operator_before_them() -> None:
    parsed = schema.ModelT.InitFromPackedBuf(tflite_bytes(lowered("mobilenetv2_w1")))
    kinds = {code.builtinCode for code in parsed.operatorCodes}
    assert not kinds & {schema.BuiltinOperator.RELU, schema.BuiltinOperator.RELU6}


@pytest.mark.parametrize("name", ["mobilenetv3_large_w1", "shufflenetv2_w1"])
def test_the_onnx_file_agrees(name: str) -> None:
    import onnxruntime

    without = ("split_depthwise", "pad_stride2")
    model = onnx_model(lowered(name, without)).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    batch = patch_images(3, 64, 7)
    with torch.no_grad():
        expected = baseline(name)(batch)
    [found] = session.run(None, {"image": batch.numpy()})
    assert min_cosine(found, expected) >= 0.99999


def test_the_core_ml_package_agrees(tmp_path: Path) -> None:
    network = lowered("mobilenetv2_wd2", ("split_depthwise",))
    package = convert(network, torch.zeros(1, 3, 64, 64), tmp_path)
    batch = patch_images(2, 64, 7)
    found = MilProgram(package).run(image=batch[:, None])["embedding"][:, 0]
    with torch.no_grad():
        expected = baseline("mobilenetv2_wd2")(batch)
    assert min_cosine(found.numpy(), expected) >= 0.99999


def test_average_pooling_is_a_depthwise_convolution() -> None:
    network = nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(1)).double()
    first, last = trace_module(network, 9)
    assert isinstance(first, Conv)
    assert first.inputs == (IMAGE,)
    assert isinstance(last, Mean)
    batch = patch_images(2, 9, 0).double()
    found = LoweredNet(Graph(nodes=(first, last), input_shape=(3, 9, 9)))(batch)
    assert (found - network(batch).flatten(1)).abs().max() < 1e-12


def test_unknown_baseline() -> None:
    with pytest.raises(UserError, match="mobilenetv2_w1"):
        build_baseline("mobilenetv2")
