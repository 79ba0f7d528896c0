"""Architecture: JSON round trip, the space of the supplement, and what a broken file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecmp import TIERS, Architecture, UserError
from edgecmp.networks.tiers import tier


@given(name=st.sampled_from(sorted(TIERS)), seed=st.integers(0, 10_000))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, name: str, seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "a.json"
    architecture = Architecture.random(name, seed=seed, embedding_dim=64, input_size=96)
    assert Architecture.load(architecture.save(path)) == architecture


def test_random_is_reproducible_and_varies() -> None:
    assert Architecture.random("100M", seed=5) == Architecture.random("100M", seed=5)
    assert len({Architecture.random("100M", seed=s).genes for s in range(20)}) == 20


@pytest.mark.parametrize("name", TIERS)
def test_tiers_scale_every_width_of_the_spos_space(name: str) -> None:
    """Supplement A.2: x1, x0.75 and x0.5 in each layer; stem and head included."""
    factor = {"330M": 1.0, "230M": 0.75, "100M": 0.5}[name]
    space = tier(name)
    assert space.stem_channels == 16 * factor
    assert space.stage_channels == tuple(int(c * factor) for c in (64, 160, 320, 640))
    assert space.head_channels == 1024 * factor
    assert [layer.stride for layer in space.layers].count(2) == 4


@pytest.mark.parametrize("name", TIERS)
def test_build_embeds_to_unit_length(name: str) -> None:
    network = Architecture.random(name, seed=0, embedding_dim=32, input_size=64).build().eval()
    with torch.no_grad():
        embeddings = network(torch.randn(3, 3, 64, 64))
    assert embeddings.shape == (3, 32)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocks": [0] * 19}, "20 blocks"),
        ({"widths": [10] * 20}, "20 widths"),
        ({"tier": "110M"}, "Did you mean"),
        ({"input_size": 8}, "input_size"),
        ({"blocks": "0000"}, "lists of integers"),
        ({"format": "other/1"}, "format"),
    ],
)
def test_a_broken_file_says_what_is_wrong(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    document = Architecture.random("100M", seed=0).to_dict() | change
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=says):
        Architecture.load(path)


def test_truncated_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"format": "edgecmp-arch')
    with pytest.raises(UserError, match="truncated"):
        Architecture.load(path)
    with pytest.raises(UserError, match="No such file"):
        Architecture.load(tmp_path / "b.json")
