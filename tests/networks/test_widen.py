"""A widened supernet computes, along every path, all features of the narrow one."""

from __future__ import annotations

import pytest
import torch

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.random_weights import patch_images, randomise_norms
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.supernet import Supernet
from edgecmp.networks.widen import widen

TIERS = [("100M", "230M"), ("100M", "330M"), ("230M", "330M")]


@pytest.mark.parametrize(("narrow_tier", "wide_tier"), TIERS)
def test_every_path_keeps_its_features(narrow_tier: str, wide_tier: str) -> None:
    """In training mode too, where statistics are those of the batch."""
    torch.manual_seed(0)
    narrow, wide = (Supernet(tier, embedding_dim=8) for tier in (narrow_tier, wide_tier))
    with torch.no_grad():
        randomise_norms(narrow)
    widen(narrow, wide)
    images = patch_images(6, 64, seed=1)
    kept = narrow.head.conv.out_channels
    for seed in range(3):
        small, large = (
            net.extract(Architecture.random(net.tier, seed=seed, embedding_dim=8))
            for net in (narrow, wide)
        )
        for training in (True, False):
            with torch.no_grad():
                expected = small.train(training).features(images)
                found = large.train(training).features(images)
            torch.testing.assert_close(found[:, :kept], expected, atol=2e-4, rtol=1e-3)
            recalibrate(small, [images])
            recalibrate(large, [images])
        assert expected.std(0).median() > 1e-3  # images differ, so equality means something
        assert (found[:, kept:].std(0) > 1e-3).float().mean() > 0.3  # new features are alive


def test_new_channels_learn() -> None:
    torch.manual_seed(0)
    narrow, wide = (Supernet(tier, embedding_dim=8) for tier in ("100M", "230M"))
    widen(narrow, wide)
    layer = wide.layers[5][0].main[2].conv.weight  # type: ignore[index]
    zero = layer == 0
    assert 0.1 < zero.float().mean() < 0.6
    network = wide.extract(
        Architecture(tier="230M", blocks=(0,) * 20, widths=(9,) * 20, embedding_dim=8)
    )
    network.train()(patch_images(8, 64, seed=2)).square().mul(torch.arange(8)).sum().backward()
    gradient = network.blocks[5].main[2].conv.weight.grad  # type: ignore[union-attr, index]
    assert (gradient[zero].abs() > 0).float().mean() > 0.9
