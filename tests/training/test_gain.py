"""The gain of a trained network's embeddings: chosen where they are shrunk, exact, or left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.preprocessing import Preprocessing
from edgecmp.training.gain import GAINS, spread

DIM, COUNT = 16, 300
PREPROCESSING = Preprocessing(input_size=8)


class _Net(nn.Module):
    """Embeddings `mean + weight (map of the image + noise)`, of unit length."""

    def __init__(self, weight: float, *, noise: float) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(1)
        self.linear = nn.Linear(192, DIM, bias=False)
        self.bn = nn.BatchNorm1d(DIM)
        with torch.no_grad():
            exact = torch.randn(DIM, 192, generator=torch.Generator().manual_seed(0))
            wrong = torch.randn(DIM, 192, generator=random)
            self.linear.weight.copy_((exact + noise * wrong) / 8)
            self.bn.weight.fill_(weight)
            self.bn.bias.copy_(torch.linspace(1, 4, DIM))
        self.eval()

    def values(self, images: Tensor) -> Tensor:
        found: Tensor = self.bn(self.linear(images.flatten(1)))
        return found

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.values(images), dim=1)


def _holdout() -> Any:
    """Queries whose own embeddings, by a network without noise, are the gallery's."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
    with torch.no_grad():
        gallery = _Net(1.0, noise=0.0)(PREPROCESSING.normalise(images)).numpy()
    ids = np.arange(COUNT)
    return SimpleNamespace(
        images=np.concatenate([images, images[:5]]),  # those of the gallery follow the queries
        query_ids=ids,
        gallery_ids=ids,
        gallery_embeddings=gallery,
        cameras=None,
        preprocessing=PREPROCESSING,
    )


def test_shrunken_embeddings_are_spread_around_their_mean() -> None:
    holdout, network = _holdout(), _Net(0.4, noise=0.7)
    images = PREPROCESSING.normalise(holdout.images)
    with torch.no_grad():
        before, mean = network.values(images), network.bn.bias
        gain = spread(network, holdout)
        assert gain is not None
        assert gain.value in GAINS[1:]
        assert gain.after > gain.before + 0.05
        expected = F.normalize(mean + gain.value * (before - mean), dim=1)
        torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize("weight", [1.0, 5.0])
def test_what_a_gain_does_not_improve_is_left_as_it_is(weight: float) -> None:
    network = _Net(weight, noise=0.0)
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    assert spread(network, _holdout()) is None
    for name, value in network.state_dict().items():
        assert torch.equal(value, kept[name]), name


def test_a_few_queries_choose_nothing() -> None:
    """The same network as above, by three queries."""
    holdout = _holdout()
    holdout.query_ids = holdout.query_ids[:3]
    assert spread(_Net(0.4, noise=0.7), holdout) is None


def test_a_network_without_such_a_norm_is_unchanged() -> None:
    assert spread(nn.Sequential(nn.Flatten(), nn.Linear(192, DIM)).eval(), _holdout()) is None
