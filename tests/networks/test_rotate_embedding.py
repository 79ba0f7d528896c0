"""rotate_embedding: the network then returns R times its embedding, for every kind of head."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import ortho_group
from torch import Tensor, nn

from edgecmp import Architecture, UserError
from edgecmp.networks.baselines import random_baseline
from edgecmp.networks.pruned import Pruned
from edgecmp.networks.random_weights import patch_images, random_network, randomise_norms
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.rotate_embedding import rotate_embedding

DIM = 12
ROTATION = torch.from_numpy(ortho_group.rvs(DIM, random_state=0))


def _check(network: nn.Module, size: int) -> None:
    images = patch_images(5, size, seed=9)
    with torch.no_grad():
        before = network(images)
        rotate_embedding(network, ROTATION)
        after = network(images)
    torch.testing.assert_close(after.double(), before.double() @ ROTATION.T, atol=1e-5, rtol=0)
    assert not torch.allclose(before, after, atol=0.05)


def test_linear_layer_with_batch_norm() -> None:
    architecture = Architecture.random("100M", seed=0, embedding_dim=DIM, input_size=32)
    network = random_network(architecture, seed=1)
    with torch.no_grad():
        network.embedding.bn.bias.uniform_(-1, 1)
        network.embedding.bn.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    _check(network, 32)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_wd2",  # a linear layer
        "mobilenetv2_wd2",  # a 1x1 convolution
        "mobilenetv3_large_w1",  # two convolutions, dropout between them
    ],
)
def test_baselines(name: str) -> None:
    _check(random_baseline(name, 32, seed=2, embedding_dim=DIM), 32)


def test_a_linear_layer_with_a_bias() -> None:
    form = Pruned.of("resnet18s", 0.5, embedding_dim=DIM, input_size=32)
    network = form.build().eval()
    with torch.no_grad():
        randomise_norms(network)
    recalibrate(network, [patch_images(8, 32, seed=3)])
    _check(network, 32)


def test_a_head_that_cannot_be_rotated_is_refused_and_not_changed() -> None:
    class Bent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.architecture = Architecture.random("100M", seed=0, input_size=32)
            self.linear = nn.Linear(3, DIM)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.normalize(self.linear(x.mean((2, 3))).relu() + 0.1, dim=1)

    network = Bent()
    before = network.linear.weight.clone()
    with pytest.raises(UserError, match="embeddings of a Bent cannot be rotated by its last layer"):
        rotate_embedding(network, ROTATION)
    assert torch.equal(network.linear.weight, before)
