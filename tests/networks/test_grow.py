"""A grown supernet starts as the network it grew from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgecmp.networks.grow import grow, seed_architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.supernet import LayerPath, Supernet
from edgecmp.networks.tiers import DEPTH, WIDTHS


@pytest.fixture(scope="module")
def grown() -> tuple[QueryNet, Supernet, Tensor]:
    torch.manual_seed(0)
    images = torch.randn(32, 3, 64, 64)
    seed = seed_architecture("100M", embedding_dim=16, input_size=64).build()
    recalibrate(seed, [images])
    supernet = Supernet("100M", embedding_dim=16, input_size=64).eval()
    grow(supernet, seed, images)
    return seed, supernet, images


@pytest.mark.parametrize("block", [0, 1, 2])
def test_every_shuffle_path_at_full_width_is_the_seed_network(
    grown: tuple[QueryNet, Supernet, Tensor], block: int
) -> None:
    seed, supernet, images = grown
    path = [LayerPath((block,), len(WIDTHS) - 1)] * DEPTH
    with torch.no_grad():
        torch.testing.assert_close(supernet(images, path), seed(images), atol=1e-4, rtol=0)


def test_xception_blocks_of_stride_1_start_close_to_the_seed_block(
    grown: tuple[QueryNet, Supernet, Tensor],
) -> None:
    """Where it subsamples first (stride 2) an Xception block can only be similar."""
    _, supernet, images = grown
    with torch.no_grad():
        x = supernet.stem(images)
        for spec, choices in zip(supernet.layer_specs, supernet.layers, strict=True):
            shuffle, xception = choices[0](x), choices[3](x)  # type: ignore[index]
            if spec.stride == 1:
                assert (shuffle - xception).norm() < 0.06 * shuffle.norm()
            x = shuffle


def test_channels_are_sorted_by_what_they_contribute(
    grown: tuple[QueryNet, Supernet, Tensor],
) -> None:
    _, supernet, _ = grown
    block = supernet.layers[6][0]  # type: ignore[index]
    last = block.main[2].conv.weight
    contribution = block.main[1].bn.weight.abs() * last.abs().sum((0, 2, 3))
    assert torch.equal(contribution, contribution.sort(descending=True).values)
