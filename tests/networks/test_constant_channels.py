"""Constant channels: nothing changes where they were constant, and nothing explodes elsewhere."""

from __future__ import annotations

import torch
from torch import nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.constant_channels import hold_constant
from edgecmp.networks.random_weights import patch_images
from edgecmp.networks.recalibrate import recalibrate

SIZE = 32


def network_with_dead_channels() -> nn.Module:
    """A network in which some channels of every norm have no variance in its statistics."""
    torch.manual_seed(0)
    network = Architecture.random("100M", seed=0, input_size=SIZE, embedding_dim=16).build()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data[::7] *= 1e-7
    recalibrate(network, [patch_images(16, SIZE, seed=1)])
    for module in network.modules():
        if isinstance(module, nn.Conv2d):  # another image reaches them
            module.weight.data[::7] *= 1e7
    return network


def test_other_images_are_embedded_as_well() -> None:
    network = network_with_dead_channels()
    other = patch_images(8, SIZE, seed=2)
    with torch.no_grad():
        before = float(network.features(other).abs().max())  # type: ignore[operator]
        assert hold_constant(network) > 100
        after = float(network.features(other).abs().max())  # type: ignore[operator]
    assert not before < 1e6  # it may be NaN
    assert after < 1e3
    assert hold_constant(network) == 0


def test_a_constant_channel_keeps_its_value() -> None:
    norm = nn.BatchNorm2d(3).eval()
    norm.running_mean = torch.tensor([0.0, 2.0, 0.0])
    norm.running_var = torch.tensor([1.0, 0.0, 1e-6])
    nn.init.constant_(norm.bias, 0.5)
    x = torch.randn(4, 3, 2, 2)
    x[:, 1] = 2.0
    before = norm(x)
    assert hold_constant(norm) == 1
    torch.testing.assert_close(norm(x), before)
    assert norm.weight.tolist() == [1.0, 0.0, 1.0]
