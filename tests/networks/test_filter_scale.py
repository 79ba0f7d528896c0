"""limit_filter_scale keeps the function of a network and brings its weights into float16."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgecmp import Architecture, UserError
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.networks.blocks import ChoiceBlock, ConvBN
from edgecmp.networks.filter_scale import limit_filter_scale
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.supernet import Supernet
from edgecmp.preprocessing import Preprocessing


def test_the_same_function_with_small_weights() -> None:
    torch.manual_seed(0)
    network = Architecture.random("100M", seed=1, embedding_dim=16).build()
    images = torch.randn(8, 3, 64, 64)
    for block in network.blocks:
        assert isinstance(block, ChoiceBlock)
        layer = block.main[0]
        assert isinstance(layer, ConvBN)
        with torch.no_grad():
            layer.conv.weight[::2] *= 3e5
    recalibrate(network, [images])
    with torch.no_grad():
        before = network(images)
        limit_filter_scale(network)
        after = network(images)
    assert torch.nn.functional.cosine_similarity(before, after).min() > 0.9999
    for module in network.modules():
        if isinstance(module, ConvBN):
            assert module.conv.weight.abs().max() < 2


def _bundle() -> SupernetBundle:
    torch.manual_seed(0)
    return SupernetBundle(
        network=Supernet("100M", embedding_dim=8, input_size=32),
        manifest=Manifest(
            kind="supernet",
            network={"tier": "100M", "embedding_dim": 8, "input_size": 32},
            preprocessing=Preprocessing(input_size=32).to_dict(),
        ),
    )


def test_a_grown_filter_survives_float16(tmp_path: Path) -> None:
    bundle = _bundle()
    with torch.no_grad():
        bundle.network.stem.conv.weight[0] *= 1e6
    saved = bundle.save(tmp_path, half=True)
    assert torch.isfinite(saved.network.stem.conv.weight).all()


def test_a_diverged_network_is_not_written(tmp_path: Path) -> None:
    bundle = _bundle()
    with torch.no_grad():
        bundle.network.head.bn.weight[0] = float("nan")
    with pytest.raises(UserError, match=r"head\.bn\.weight"):
        bundle.save(tmp_path / "net", half=True)
    assert not (tmp_path / "net" / "manifest.json").exists()
