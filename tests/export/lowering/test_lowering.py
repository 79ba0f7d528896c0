"""Each rewrite alone, and all together, computes what the network computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgecmp.export.lowering import REWRITES, Graph, lower
from edgecmp.export.lowering.fold_shuffle import fold_shuffle
from edgecmp.export.lowering.graph import IMAGE, Affine, Concat, Conv, Linear, Mean, Pad, Take
from edgecmp.export.lowering.narrow_concat import MAX_INPUTS, narrow_concat
from edgecmp.export.lowering.pad_stride2 import is_same
from edgecmp.export.lowering.split_depthwise import MAX_TAPS, split_depthwise
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.tiers import BLOCKS, DEPTH, TIERS, WIDTHS
from edgecmp.preprocessing import Preprocessing

MakeNetwork = Callable[[Architecture, int], QueryNet]
MakeImages = Callable[[int, int, int], Tensor]


def genes(choices: int) -> st.SearchStrategy[tuple[int, ...]]:
    """One gene a layer."""
    return st.lists(st.integers(0, choices - 1), min_size=DEPTH, max_size=DEPTH).map(tuple)


architectures = st.builds(
    Architecture,
    tier=st.sampled_from(list(TIERS)),
    blocks=genes(len(BLOCKS)),
    widths=genes(len(WIDTHS)),
    embedding_dim=st.sampled_from([16, 128]),
    input_size=st.sampled_from([64, 65, 96, 112]),
)


def all_but(*names: str) -> tuple[str, ...]:
    """The rewrites to leave out so that these are done alone."""
    return tuple(name for name in REWRITES if name not in names)


@pytest.mark.parametrize("names", [(), *((name,) for name in REWRITES), tuple(REWRITES)], ids=str)
@settings(max_examples=4)
@given(architecture=architectures, seed=st.integers(0, 2**16))
def test_equals_the_network(
    names: tuple[str, ...],
    architecture: Architecture,
    seed: int,
    random_network: MakeNetwork,
    images: MakeImages,
) -> None:
    network = random_network(architecture, seed)
    batch = images(2, architecture.input_size, seed + 7)
    with torch.no_grad():
        expected = network(batch)
        assert (expected[0] - expected[1]).abs().max() > 1e-2  # else agreement would mean nothing
        assert (lower(network, without=all_but(*names))(batch) - expected).abs().max() < 1e-4
        network.double()
        exact = lower(network, without=all_but(*names))(batch.double())
        assert (exact - network(batch.double())).abs().max() < 1e-10


@settings(max_examples=8)
@given(architecture=architectures)
def test_leaves_nothing_slow(architecture: Architecture) -> None:
    graph = lower(architecture.build()).graph
    shapes = graph.shapes()
    assert shapes[graph.nodes[-1].name] == (architecture.embedding_dim,)
    for node in graph:
        assert not isinstance(node, Affine)
        if isinstance(node, Take):
            assert node.step == 1
        if isinstance(node, Conv):
            assert not node.depthwise or node.weight[0].numel() <= MAX_TAPS
            assert not any(node.padding) or is_same(node, shapes[node.inputs[0]])


@pytest.mark.parametrize(("size", "kernel"), [(64, 3), (96, 5), (128, 7)])
def test_crops_what_the_last_maps_cannot_see(size: int, kernel: int) -> None:
    """The last stage has size / 32 pixels a side; its 7x7 kernels meet 2 size / 32 - 1 rows."""
    architecture = Architecture(
        tier="100M", blocks=(2,) * DEPTH, widths=(4,) * DEPTH, input_size=size
    )
    graph = lower(architecture.build(), without=("split_depthwise",)).graph
    [last] = [node for node in graph if node.name == "blocks.19.main.1"]
    assert isinstance(last, Conv)
    assert last.weight.shape[2:] == (kernel, kernel)


def test_copies_no_channel_that_only_passes() -> None:
    """A channel is sliced once, by the layer that reads it, however many blocks lie between."""
    architecture = Architecture(tier="330M", blocks=(0,) * DEPTH, widths=(4,) * DEPTH)
    network = architecture.build()
    copied = {}
    for folded in (False, True):
        graph = lower(network, without=all_but("fold_bn", *["fold_shuffle"] * folded)).graph
        shapes = graph.shapes()
        copied[folded] = sum(shapes[node.name][0] for node in graph if isinstance(node, Take))
    read = sum(c * n for c, n in zip((64, 160, 320, 640), (3, 3, 7, 3), strict=True))
    assert copied[False] == read
    assert copied[True] < 0.75 * read


def test_folds_through_per_channel_nodes(images: MakeImages) -> None:
    """A depthwise convolution between producer and split takes the producer's order."""
    torch.manual_seed(0)

    def conv(name: str, source: str, out: int, inputs: int, *, groups: int = 1) -> Conv:
        kernel = 3 if groups > 1 else 1
        return Conv(
            name=name,
            inputs=(source,),
            weight=torch.randn(out, inputs // groups, kernel, kernel),
            bias=torch.randn(out),
            padding=(kernel // 2, kernel // 2),
            groups=groups,
        )

    graph = Graph(
        nodes=(
            conv("a", IMAGE, 8, 3),
            Pad(name="a.pad", inputs=("a",), amounts=(1, 0, 0, 1)),
            conv("b", "a.pad", 8, 8, groups=8),
            Take(name="even", inputs=("b",), start=0, stop=8, step=2),
            Take(name="odd", inputs=("b",), start=1, stop=8, step=2),
            conv("c", "odd", 4, 4, groups=4),
            Concat(name="d", inputs=("even", "c")),
            conv("e", "d", 5, 8),
            Mean(name="pool", inputs=("e",)),
            Linear(name="out", inputs=("pool",), weight=torch.randn(2, 5), bias=torch.zeros(2)),
        ),
        input_shape=(3, 9, 9),
    )
    folded = fold_shuffle(graph)
    assert all(node.step == 1 for node in folded if isinstance(node, Take))
    assert torch.allclose(_run(folded, images(2, 9, 1)), _run(graph, images(2, 9, 1)), atol=1e-5)


@pytest.mark.parametrize("name", ["input", "output"])
def test_keeps_a_shuffle_that_no_weight_can_absorb(name: str) -> None:
    take = Take(name="take", inputs=(IMAGE,), start=0, stop=4, step=2)
    nodes = (take, Mean(name="pool", inputs=("take",))) if name == "input" else (take,)
    graph = Graph(nodes=nodes, input_shape=(4, 8, 8))
    assert fold_shuffle(graph) is graph


@pytest.mark.slow(quick=["()"])
@pytest.mark.parametrize("without", [(), ("fold_scale",)], ids=str)
@settings(max_examples=8)
@given(
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.1, 1)] * 3),
    seed=st.integers(0, 2**16),
)
def test_pixels_are_normalised_inside(
    without: tuple[str, ...],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    seed: int,
    random_network: MakeNetwork,
) -> None:
    """The network that reads pixels equals the preprocessing and the network after it."""
    architecture = Architecture.random("100M", seed=seed, embedding_dim=16, input_size=65)
    network = random_network(architecture, seed)
    preprocessing = Preprocessing(input_size=65, mean=mean, std=std)
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 65, 65, 3), np.uint8)
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network(preprocessing.normalise(pixels))
        found = lower(network, pixels=preprocessing, without=without)(planes.float())
        assert (found - expected).abs().max() < 1e-4
        network.double()
        means, stds = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (mean, std))
        expected = network((planes.double() / 255 - means) / stds)
        exact = lower(network, pixels=preprocessing, without=without)(planes.double())
    assert (exact - expected).abs().max() < 1e-10


def test_the_scale_of_the_pixels_costs_nothing() -> None:
    network = Architecture.random("100M", seed=0, input_size=64).build().eval()
    first, *_ = lower(network, pixels=Preprocessing(input_size=64)).graph
    assert isinstance(first, Affine)
    assert first.scale.tolist() == [1, 1, 1]
    assert first.shift.tolist() == [-127.5] * 3


@pytest.mark.parametrize("channels", [16, 80, 240])  # one for each way to split
@pytest.mark.parametrize("stride", [1, 2])
def test_splits_a_7x7_kernel_exactly(channels: int, stride: int) -> None:
    torch.manual_seed(channels)
    conv = Conv(
        name="conv",
        inputs=(IMAGE,),
        weight=torch.randn(channels, 1, 7, 7, dtype=torch.float64),
        bias=torch.randn(channels, dtype=torch.float64),
        stride=stride,
        padding=(3, 3),
        groups=channels,
        relu=True,
    )
    graph = Graph(nodes=(conv,), input_shape=(channels, 13, 10))
    split = split_depthwise(graph)
    kernels = [node.weight for node in split if isinstance(node, Conv)]
    assert all(kernel[0].numel() <= MAX_TAPS for kernel in kernels)
    assert sum(int((kernel[0] != 0).sum()) for kernel in kernels) == 49
    batch = torch.randn(2, channels, 13, 10, dtype=torch.float64)
    assert torch.allclose(_run(split, batch), _run(graph, batch), rtol=0, atol=1e-12)


def test_concatenates_few_inputs_at_once(images: MakeImages) -> None:
    """In the order of the wide concatenation."""
    for count in (MAX_INPUTS, MAX_INPUTS + 1, 2 * MAX_INPUTS + 3):
        takes = [Take(name=f"{n}", inputs=(IMAGE,), start=n % 3, stop=3) for n in range(count)]
        names = tuple(take.name for take in takes)
        graph = Graph(nodes=(*takes, Concat(name="all", inputs=names)), input_shape=(3, 8, 8))
        narrow = narrow_concat(graph)
        assert all(len(n.inputs) <= MAX_INPUTS for n in narrow if isinstance(n, Concat))
        assert torch.equal(_run(narrow, images(1, 8, 1)), _run(graph, images(1, 8, 1)))


def test_does_not_touch_the_network(random_network: MakeNetwork) -> None:
    network = random_network(Architecture.random("100M", seed=1, input_size=64), 1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    lower(network)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def _run(graph: Graph, batch: Tensor) -> Tensor:
    from edgecmp.export.lowering import LoweredNet

    result: Tensor = LoweredNet(graph)(batch)
    return result
