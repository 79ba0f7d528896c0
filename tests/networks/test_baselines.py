"""The baselines as query networks: their head, their files, their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgecmp import Architecture, UserError
from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.networks.baselines import BASELINES, Baseline, random_baseline
from edgecmp.networks.form import load_form, load_searched
from edgecmp.networks.fvcore_flops import count_fvcore
from edgecmp.networks.random_weights import patch_images
from edgecmp.preprocessing import Preprocessing


@pytest.mark.parametrize("name", BASELINES)
def test_a_bundle_is_read_back_unchanged(name: str, tmp_path: Path) -> None:
    network = random_baseline(name, 32, 0)
    network.architecture = network.architecture.resized(32)
    about = Preprocessing(input_size=32)
    manifest = Manifest(kind="query", preprocessing=about.to_dict(), gallery_sha256="ab" * 32)
    QueryBundle(network=network, manifest=manifest).save(tmp_path)
    found = QueryBundle.load(tmp_path)
    assert found.architecture == Baseline(name=name, embedding_dim=32, input_size=32)
    assert load_form(tmp_path) == load_form(tmp_path / "architecture.json") == found.architecture
    batch = patch_images(4, 32, 1)
    with torch.no_grad():
        expected, embeddings = network(batch), found.network(batch)
    torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(expected.norm(dim=1), torch.ones(4))
    assert (expected[0] - expected[1]).abs().max() > 1e-2


@pytest.mark.parametrize("name", BASELINES)
def test_the_head_centres_the_embeddings(name: str) -> None:
    """A fresh network with the batch norm looks at images differently from the first step on."""
    torch.manual_seed(0)
    network = Baseline(name=name, embedding_dim=16).build().train()
    with torch.no_grad():
        embeddings = network(patch_images(16, 64, 0))
    cosines = embeddings @ embeddings.T
    assert cosines[~torch.eye(16, dtype=torch.bool)].mean() < 0.2
    *_, last = (m for m in network.output.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    assert last.bias is None


def test_counts_of_a_network_counted_by_hand() -> None:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()
    )
    counted = count_fvcore(nn.Sequential(*layers, nn.Linear(8 * 36, 5)).eval(), 6)
    assert counted.macs == 8 * 27 * 36 + 8 * 36 * 5
    assert counted.flops == counted.macs + 2 * 8 * 36


def test_names_and_files_of_forms(tmp_path: Path) -> None:
    assert load_form("resnet101") == Baseline(name="resnet101")
    with pytest.raises(UserError, match="Did you mean mobilenet_w1"):
        load_form("mobilnet_w1")
    with pytest.raises(UserError, match=r"no\.json cannot be read"):
        load_form(tmp_path / "no.json")
    file = Baseline(name="shufflenetv2_w1", input_size=64).save(tmp_path / "net.json")
    assert load_form(file) == Baseline(name="shufflenetv2_w1", input_size=64)
    with pytest.raises(
        UserError,
        match=r"net\.json describes shufflenetv2_w1, which is not a network of the search",
    ):
        load_searched(file)
    ours = Architecture.random("100M", seed=0)
    assert load_searched(ours.save(tmp_path / "ours.json")) == ours
