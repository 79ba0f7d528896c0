"""Both trainings hold constant channels before the network is evaluated and saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgecmp import Architecture
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle
from edgecmp.training.gallery import train_gallery
from edgecmp.training.query import train_query
from edgecmp.training.recipes import gallery_recipe, query_recipe
from tests.fixtures.identity_folders import write_identities

MARK = 7.0


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]


@torch.no_grad()
def marked(network: nn.Module) -> None:
    """What the saved network shows only if this was called before it was saved."""
    norms(network)[0].bias[0] = MARK


def test_before_the_networks_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("gallery", "query"):
        monkeypatch.setattr(f"edgecmp.training.{module}.hold_constant", marked)
    data = str(write_identities(tmp_path / "data", {"train": 8, "validation": 10, "test": 6}))
    gallery, query = tmp_path / "gallery", tmp_path / "query"
    train_gallery(gallery_recipe("tiny"), out=gallery, data=data)
    architecture = Architecture.random("100M", seed=0, input_size=32)
    given = {"architecture": architecture, "gallery": gallery, "data": data}
    train_query(query_recipe("tiny"), out=query, **given)  # type: ignore[arg-type]
    for network in (GalleryBundle.load(gallery).network, QueryBundle.load(query).network):
        assert norms(network)[0].bias[0].item() == MARK
