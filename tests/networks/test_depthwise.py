"""The depthwise convolution of training, against torch's."""

from __future__ import annotations

import copy
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import fx, nn

from edgecmp.networks import depthwise
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.baselines import BASELINES, Baseline
from edgecmp.networks.depthwise import (
    DepthwiseConv2d,
    depthwise_conv2d,
    is_faster,
    use_fast_depthwise,
    weight_gradient,
)

Case = tuple[torch.Tensor, torch.Tensor, tuple[int, int], tuple[int, int]]


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    """Any kernel on any map, square or not, in either memory format."""
    ints = st.integers
    n, c = draw(ints(1, 4)), draw(ints(1, 6))
    h, w, kh, kw = draw(ints(1, 9)), draw(ints(1, 9)), draw(ints(1, 7)), draw(ints(1, 7))
    padding = (kh // 2 + draw(ints(0, 1)), kw // 2 + draw(ints(0, 1)))
    kh, kw = min(kh, h + 2 * padding[0]), min(kw, w + 2 * padding[1])
    generator = torch.Generator().manual_seed(draw(ints(0, 2**31)))
    x = torch.randn(n, c, h, w, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):
        x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(c, 1, kh, kw, generator=generator, dtype=torch.float64)
    return x, weight, (draw(ints(1, 3)), draw(ints(1, 3))), padding


@given(_cases())
def test_the_weight_gradient_is_autograds(case: Case) -> None:
    x, weight, stride, padding = case
    weight.requires_grad_()
    y = F.conv2d(x, weight, None, stride, padding, groups=len(weight))
    seen = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    (theirs,) = torch.autograd.grad(y, weight, seen)
    kernel = (weight.shape[2], weight.shape[3])
    ours = weight_gradient(x, seen, kernel, stride, padding)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@given(_cases())
def test_forward_is_the_plain_convolution_and_both_gradients_are_autograds(case: Case) -> None:
    x, weight, stride, padding = case
    plain, ours = [(x.clone().requires_grad_(), weight.clone().requires_grad_()) for _ in range(2)]
    with patch.object(depthwise, "is_faster", return_value=True):
        y = depthwise_conv2d(*ours, stride, padding)
    expected = F.conv2d(*plain, None, stride, padding, groups=len(weight))
    assert type(y.grad_fn).__name__ == "_WithFastGradientBackward"
    assert torch.equal(y, expected)
    torch.autograd.backward(y.square().sum())
    torch.autograd.backward(expected.square().sum())
    assert ours[0].grad is not None
    assert plain[0].grad is not None
    assert torch.equal(ours[0].grad, plain[0].grad)
    torch.testing.assert_close(ours[1].grad, plain[1].grad, rtol=1e-12, atol=1e-12)


def test_only_a_training_step_on_small_maps_uses_the_fast_gradient() -> None:
    x, weight = torch.randn(2, 4, 4, 4), torch.randn(4, 1, 7, 7, requires_grad=True)

    def made_by(x: torch.Tensor, weight: torch.Tensor) -> str:
        return type(depthwise_conv2d(x, weight, (1, 1), (3, 3)).grad_fn).__name__

    assert made_by(x, weight) == "_WithFastGradientBackward"
    assert made_by(x.repeat(1, 1, 8, 8), weight) == "ConvolutionBackward0"
    assert made_by(x.clone().requires_grad_(), weight.detach()) == "ConvolutionBackward0"
    with torch.no_grad():
        assert made_by(x, weight) == "NoneType"
    with torch.autocast("cpu"):
        assert made_by(x, weight) == "ConvolutionBackward0"


def test_tracing_records_the_plain_convolution() -> None:
    layer, x = DepthwiseConv2d(4, 7), torch.randn(2, 4, 4, 4)
    expected = F.conv2d(x, layer.weight, None, 1, 3, groups=4)
    scripted = torch.jit.trace(layer, x)  # type: ignore[no-untyped-call]
    graph = fx.symbolic_trace(layer)
    exported = torch.export.export(layer, (x,))
    for traced in (scripted, graph, exported.module()):
        assert torch.equal(traced(x), expected)
    assert "aten::_convolution" in str(scripted.graph)
    assert "PythonOp" not in str(scripted.graph)
    assert {node.target for node in graph.graph.nodes} >= {F.conv2d}
    assert torch.ops.aten.conv2d.default in {node.target for node in exported.graph.nodes}


@pytest.mark.parametrize(
    ("size", "kernel", "faster"),
    [(2, 3, True), (4, 3, False), (8, 5, True), (8, 7, True), (16, 5, False), (16, 7, False)],
)
def test_where_it_is_faster(size: int, kernel: int, faster: bool) -> None:
    assert is_faster((size, size), (kernel, kernel)) is faster


def test_a_network_trains_to_the_same_gradients() -> None:
    """Against the same network of plain convolutions, in double precision."""
    network = Architecture.random("100M", seed=3, input_size=64, embedding_dim=16).build()
    network = network.double().train()
    plain = copy.deepcopy(network)
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    network(images)[:, 0].sum().backward()
    with patch.object(depthwise, "is_faster", return_value=False):
        plain(images)[:, 0].sum().backward()
    for (name, ours), theirs in zip(network.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-9, msg=name)


def _same_but(**settings: object) -> nn.Conv2d:
    """A depthwise layer of kernel 5 and stride 2, but for some settings."""
    plain = {
        "in_channels": 4,
        "out_channels": 4,
        "kernel_size": 5,
        "stride": 2,
        "padding": 2,
        "groups": 4,
        "bias": False,
    }
    return nn.Conv2d(**{**plain, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "quick"),
    [
        ({}, True),
        ({"kernel_size": 3, "padding": 1, "stride": 1}, True),
        ({"padding": 1}, False),
        ({"padding": "valid"}, False),
        ({"padding_mode": "reflect"}, False),
        ({"kernel_size": (5, 3), "padding": (2, 1)}, False),
        ({"stride": (1, 2)}, False),
        ({"dilation": 2, "padding": 4}, False),
        ({"groups": 2}, False),
        ({"out_channels": 8}, False),
        ({"bias": True}, False),
    ],
)
def test_a_layer_with_the_fast_gradient_computes_the_same(
    settings: dict[str, object], quick: bool
) -> None:
    layer = _same_but(**settings)
    network, x = nn.Sequential(copy.deepcopy(layer)), torch.randn(2, 4, 8, 8)
    assert use_fast_depthwise(network) == quick
    assert use_fast_depthwise(network) == 0
    assert isinstance(network[0], DepthwiseConv2d) is quick
    assert torch.equal(network(x), layer(x))
    assert network.state_dict().keys() == nn.Sequential(layer).state_dict().keys()


@pytest.mark.parametrize("name", sorted(set(BASELINES) - {"resnet101"}))
def test_every_depthwise_layer_of_a_baseline_has_the_fast_gradient(name: str) -> None:
    network = Baseline(name=name, input_size=32, embedding_dim=8).build()
    depthwise_layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1
    ]
    assert depthwise_layers
    assert all(isinstance(layer, DepthwiseConv2d) for layer in depthwise_layers)
