"""The FLOPs table against fvcore, torch's own counter and a published figure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import DEPTH, TIERS
from edgecmp.search.space.flops import FlopsTable


def fvcore_count(architecture: Architecture, size: int) -> int:
    with torch.device("meta"):  # shapes are enough: initialising costs as long as counting
        network = architecture.build().eval()
    network.to_empty(device="cpu")
    analysis = FlopCountAnalysis(network, torch.zeros(1, 3, size, size))
    return int(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


@pytest.mark.slow(quick=["100M"])
@pytest.mark.parametrize("tier", TIERS)
def test_equals_fvcore_on_random_architectures(tier: str) -> None:
    """72 architectures over the three tiers, 6 of them at 224, sizes even and odd."""
    tables = {size: FlopsTable.of(tier, size) for size in (32, 37, 48, 224)}
    mismatches = []
    for seed in range(24):
        size = 224 if seed < 2 else (32, 37, 48)[seed % 3]
        architecture = Architecture.random(tier, seed=seed)
        counted, expected = tables[size].count(architecture), fvcore_count(architecture, size)
        if counted != expected:
            mismatches.append((seed, size, counted, expected))
    assert mismatches == []


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("width", [0, 9])
@pytest.mark.parametrize("block", range(4))
def test_macs_equal_torch_flop_counter(tier: str, block: int, width: int) -> None:
    architecture = Architecture(
        tier=tier, blocks=(block,) * DEPTH, widths=(width,) * DEPTH, embedding_dim=96
    )
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        architecture.build().eval()(torch.zeros(1, 3, 64, 64))
    table = FlopsTable.of(tier, 64, embedding_dim=96)
    assert 2 * table.macs(architecture) == counter.get_total_flops()


def test_published_spos_architecture() -> None:
    """Guo et al. 2020 publish 328M for this architecture with ImageNet's 1000-way classifier."""
    published = Architecture(
        tier="330M",
        blocks=(0, 0, 3, 1, 1, 1, 0, 0, 2, 0, 2, 1, 1, 0, 2, 0, 2, 1, 3, 2),
        widths=(6, 5, 3, 5, 2, 6, 3, 4, 2, 5, 7, 5, 4, 6, 7, 4, 4, 5, 4, 3),
        embedding_dim=1000,
    )
    macs = FlopsTable.of("330M", embedding_dim=1000).macs(published)
    assert macs / 1e6 == pytest.approx(327.86, abs=0.005)


@pytest.mark.parametrize("tier", TIERS)
def test_vectorised_counts_equal_single_counts(tier: str) -> None:
    table = FlopsTable.of(tier, 160)
    nets = [Architecture.random(tier, seed=seed) for seed in range(50)]
    nets += [table.smallest(), table.largest()]
    blocks = np.array([net.blocks for net in nets], np.uint8)
    widths = np.array([net.widths for net in nets], np.uint8)
    expected = [table.count(net) for net in nets]
    # Repeated past one chunk, and in both memory orders.
    assert table.counts(np.tile(blocks, (100, 1)), np.tile(widths, (100, 1))).tolist() == (
        expected * 100
    )
    assert table.counts(np.asfortranarray(blocks), widths).tolist() == expected
    assert expected[-2] == min(expected)
    assert expected[-1] == max(expected)


def test_no_candidates_count_as_none() -> None:
    empty = np.empty((0, DEPTH), np.uint8)
    assert FlopsTable.of("100M").counts(empty, empty).shape == (0,)


def test_an_architecture_of_another_tier_is_refused() -> None:
    with pytest.raises(UserError, match="100M tier"):
        FlopsTable.of("100M").count(Architecture.random("230M", seed=0))
    with pytest.raises(UserError, match="64-d"):
        FlopsTable.of("100M").macs(Architecture.random("100M", seed=0, embedding_dim=64))
