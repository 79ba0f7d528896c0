"""The simple reference implementations for `edgecmp.benchmarks.studies.supernet_speed`."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.blocks import ChoiceBlock, ConvBN, even_odd_split
from edgecmp.networks.depthwise import DepthwiseConv2d
from edgecmp.networks.supernet import LayerPath, Supernet, path_of
from edgecmp.search.evaluation.supernet import SupernetEvaluator
from edgecmp.search.space.flops import FlopsTable

__all__ = ["masked_forward", "mean_architecture", "plain_scores", "with_torch_gradients"]

Network = TypeVar("Network", bound=nn.Module)


def masked_forward(network: Supernet, x: Tensor, path: tuple[LayerPath, ...]) -> Tensor:
    """The result of `network(x, path)`, computed at full width and masked after each batch norm."""
    x = network.stem(x)
    for spec, choices, step in zip(network.layer_specs, network.layers, path, strict=True):
        assert isinstance(choices, nn.ModuleList)
        (block,) = step.blocks
        choice = choices[block]
        assert isinstance(choice, ChoiceBlock)
        mid = spec.mid_channels(step.width)
        if choice.proj is None:
            passed, x = even_odd_split(x)
        else:
            passed = choice.proj(x)
        for position, layer in enumerate(choice.main):
            assert isinstance(layer, ConvBN)
            x = layer.bn(layer.conv(x))
            if position not in choice.outer:
                mask = (torch.arange(x.shape[1]) < mid).to(x.dtype)
                x = x * mask[:, None, None]
            if layer.relu:
                x = F.relu(x)
        x = torch.cat((passed, x), 1)
    embeddings: Tensor = network.embedding(network.head(x).mean((2, 3)))
    return embeddings


def with_torch_gradients(network: Network) -> Network:
    """A copy of the network with torch's own gradient of depthwise convolutions."""
    network = copy.deepcopy(network)
    for layer in network.modules():
        if isinstance(layer, DepthwiseConv2d):
            layer.forward = partial(nn.Conv2d.forward, layer)  # type: ignore[method-assign]
    return network


def mean_architecture(network: Supernet, *, draws: int = 500) -> Architecture:
    """The random subnet whose FLOPs are nearest to the mean of `draws` random subnets."""
    table = FlopsTable.of(network.tier, network.input_size, network.embedding_dim)
    form: dict[str, int] = {
        "embedding_dim": network.embedding_dim,
        "input_size": network.input_size,
    }
    drawn = [Architecture.random(network.tier, seed=seed, **form) for seed in range(draws)]
    counts = table.counts(
        np.array([one.blocks for one in drawn], np.uint8),
        np.array([one.widths for one in drawn], np.uint8),
    )
    return drawn[int(np.abs(counts - counts.mean()).argmin())]


def plain_scores(
    evaluator: SupernetEvaluator, supernet: Supernet, architecture: Architecture, memory: Any
) -> dict[str, float]:
    """The scores of a candidate, evaluated by the simple method in the given memory format."""
    holdout, path = evaluator.holdout, path_of(architecture)
    network = copy.deepcopy(supernet)
    network.to(memory_format=memory)  # type: ignore[call-overload]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
    with torch.no_grad():
        network.train()
        for count, batch in enumerate(holdout.batches, start=1):
            for norm in norms:
                norm.momentum = 1 / count
            network(batch.contiguous(memory_format=memory), path)
        network.eval()
        embeddings = [
            network(holdout.preprocessing.normalise(some).contiguous(memory_format=memory), path)
            for some in np.array_split(holdout.images, max(1, len(holdout.images) // 256))
        ]
    return holdout.score(torch.cat(embeddings).numpy())
