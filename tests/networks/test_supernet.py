"""The supernet's path and the extracted network are the same network, bit for bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.blocks import ChoiceBlock, ConvBN, even_odd_split
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.supernet import LayerPath, Supernet, path_of
from edgecmp.networks.tiers import BLOCKS, DEPTH, TIERS, WIDTHS

genes = st.tuples(
    st.lists(st.integers(0, len(BLOCKS) - 1), min_size=DEPTH, max_size=DEPTH),
    st.lists(st.integers(0, len(WIDTHS) - 1), min_size=DEPTH, max_size=DEPTH),
)


@pytest.fixture(scope="module")
def supernets() -> dict[str, Supernet]:
    """One supernet per tier, with batch-norm statistics that are not the initial ones."""
    nets = {}
    for name in TIERS:
        torch.manual_seed(1)
        net = Supernet(name, embedding_dim=16, input_size=32)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.running_mean, module.bias):
                    assert tensor is not None
                    nn.init.normal_(tensor, std=0.2)
                for tensor in (module.running_var, module.weight):
                    assert tensor is not None
                    nn.init.uniform_(tensor, 0.5, 1.5)
        nets[name] = net.eval()
    return nets


@settings(max_examples=20)
@given(tier=st.sampled_from(sorted(TIERS)), genes=genes, channels_last=st.booleans())
def test_extracted_network_equals_the_path_bit_for_bit(
    supernets: dict[str, Supernet],
    tier: str,
    genes: tuple[list[int], list[int]],
    channels_last: bool,
) -> None:
    blocks, widths = genes
    architecture = Architecture(
        tier=tier, blocks=tuple(blocks), widths=tuple(widths), embedding_dim=16, input_size=32
    )
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    supernet = supernets[tier]
    with torch.no_grad():
        assert torch.equal(supernet(x, path_of(architecture)), supernet.extract(architecture)(x))


def test_extracting_copies(supernets: dict[str, Supernet]) -> None:
    supernet = supernets["100M"]
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    network = supernet.extract(Architecture.random("100M", seed=0, embedding_dim=16))
    recalibrate(network, [torch.randn(4, 3, 32, 32)])
    for name, value in supernet.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_step_moves_only_the_sampled_path() -> None:
    """Supplement A.2: only the weights of the sampled subnet are updated."""
    supernet = Supernet("100M", embedding_dim=16, input_size=32).train()
    architecture = Architecture.random("100M", seed=3)
    supernet(torch.randn(4, 3, 32, 32), path_of(architecture)).sum().backward()
    for layer, block, width in zip(
        supernet.layers, architecture.blocks, architecture.widths, strict=True
    ):
        assert isinstance(layer, nn.ModuleList)
        for index, choice in enumerate(layer):
            gradients = [p.grad for p in choice.parameters()]
            if index == block:
                assert all(g is not None for g in gradients)
                assert isinstance(choice, ChoiceBlock)
                first = next(m for m in choice.main if isinstance(m, ConvBN) and not m.depthwise)
                assert first.conv.weight.grad is not None
                narrow = choice.mid_channels * (width + 1) // 10
                assert first.conv.weight.grad[narrow:].abs().sum() == 0
            else:
                assert all(g is None for g in gradients)


def test_averaging_all_four_blocks_is_the_mean_of_the_four_paths() -> None:
    """Supplement A.2's warm-up, checked on the first layer."""
    supernet = Supernet("100M", embedding_dim=16, input_size=32).eval()
    x = supernet.stem(torch.randn(2, 3, 32, 32))
    choices = supernet.layers[0]
    assert isinstance(choices, nn.ModuleList)
    mid = supernet.layer_specs[0].mid_channels(9)
    seen: list[torch.Tensor] = []
    second = supernet.layers[1]
    assert isinstance(second, nn.ModuleList)
    second[0].register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    full = [LayerPath((0, 1, 2, 3), 9), *[LayerPath((0,), 9)] * 19]
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        supernet(image, full)
        x = supernet.stem(image)
        expected = sum(choice(x, mid) for choice in choices) / 4
    torch.testing.assert_close(seen[0], expected)


def test_even_odd_split_is_the_interleave_of_spos() -> None:
    x = torch.arange(8.0).view(1, 8, 1, 1)
    even, odd = even_odd_split(x)
    assert even.flatten().tolist() == [0, 2, 4, 6]
    assert odd.flatten().tolist() == [1, 3, 5, 7]


def test_recalibration_is_the_cumulative_average() -> None:
    """Equal to torch's momentum=None over the same batches; the mode is evaluation afterwards."""
    ours, theirs = ConvBN(3, 5), ConvBN(3, 5)
    theirs.load_state_dict(ours.state_dict())
    batches = [torch.randn(6, 3, 8, 8) for _ in range(5)]
    recalibrate(ours, batches)
    theirs.bn.momentum = None
    theirs.bn.reset_running_stats()
    theirs.train()
    with torch.no_grad():
        for batch in batches:
            theirs(batch)
    torch.testing.assert_close(ours.bn.running_mean, theirs.bn.running_mean)
    torch.testing.assert_close(ours.bn.running_var, theirs.bn.running_var)
    assert not ours.bn.training
    assert ours.bn.momentum == 0.1
