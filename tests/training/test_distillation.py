"""In-place distillation: the widest path of a step teaches the others and does not follow them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from edgecmp.networks.supernet import Supernet
from edgecmp.training.paths import Phase, sample_paths
from edgecmp.training.recipes import emoji_sandwich_supernet, emoji_short_supernet
from edgecmp.training.supernet import _Task


class _Sum(nn.Module):
    """A criterion whose weight tells the paths' own losses from the distillation."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.seen: list[Tensor] = []

    def mix(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images

    def forward(self, embeddings: Tensor, indices: Tensor, images: Tensor) -> Tensor:
        self.seen.append(images)
        return self.weight * embeddings[:, 0].mean()


def _step(weight: float, distil: float) -> tuple[Supernet, _Sum, Tensor, list[int]]:
    """One backward pass; also the block of each layer that the widest path took."""
    torch.manual_seed(0)
    network, criterion = Supernet("100M", embedding_dim=16, input_size=32).train(), _Sum(weight)
    recipe = replace(
        emoji_sandwich_supernet(distil=distil), phases=(Phase(until=1.0, blocks=1, narrowest=0),)
    )
    task = _Task(recipe, network, criterion, None)  # type: ignore[arg-type]
    images = torch.randn(8, 3, 32, 32)
    loss = task.loss(images, torch.arange(8), 0.5, torch.Generator().manual_seed(1))
    loss.backward()  # type: ignore[no-untyped-call]
    widest = sample_paths(recipe.phases, 0.5, "sandwich", torch.Generator().manual_seed(1))[0]
    return network, criterion, loss, [step.blocks[0] for step in widest]


def _moved(network: Supernet, taught: list[int]) -> tuple[float, list[float]]:
    """Sum of gradients in the widest path's blocks, and in each block of the other paths."""
    own, others = 0.0, []
    for layer, block in zip(network.layers, taught, strict=True):
        assert isinstance(layer, nn.ModuleList)
        for index, choice in enumerate(layer):
            total = sum(
                float(p.grad.abs().sum()) for p in choice.parameters() if p.grad is not None
            )
            if index == block:
                own += total
            else:
                others.append(total)
    return own, others


def test_distillation_moves_all_paths_but_the_widest() -> None:
    network, _, loss, widest = _step(0.0, 5.0)
    own, others = _moved(network, widest)
    assert loss > 0
    assert own == 0.0
    assert min(others) > 0


def test_every_path_sees_the_whole_batch_and_has_its_own_loss() -> None:
    network, criterion, _, widest = _step(1.0, 5.0)
    assert [len(images) for images in criterion.seen] == [8] * 4
    assert _moved(network, widest)[0] > 0
    _, shares, _, _ = _step(1.0, 0.0)
    assert [len(images) for images in shares.seen] == [2] * 4


def test_distillation_needs_the_sandwich_rule() -> None:
    with pytest.raises(ValueError, match="sandwich"):
        replace(emoji_short_supernet("100M"), distil=1.0)


def test_the_recipe_takes_as_many_steps_and_images_through_the_network_as_the_fair_one() -> None:
    fair, ours = emoji_short_supernet("100M").schedule, emoji_sandwich_supernet().schedule
    assert fair.epochs / fair.batch_size == ours.epochs / ours.batch_size
    assert ours.batch_size * 4 == fair.batch_size
    assert ours.warmup_epochs / ours.epochs == fair.warmup_epochs / fair.epochs
