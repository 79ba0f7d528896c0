"""Turning a network's embeddings by an orthogonal map, inside its last linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.networks.random_weights import patch_images

__all__ = ["turn_embedding"]

TOLERANCE = 1e-4
"""On the values of unit embeddings, for what float32 rounds."""


@torch.no_grad()
def turn_embedding(network: nn.Module, rotation: Tensor) -> None:
    """Folds an orthogonal map into the network, in place: e(x) becomes R e(x), at no cost.

    The last linear layer (or 1x1 convolution) is taken for the one that gives the embedding,
    together with a batch norm behind it, and the outcome is compared with the map on images, so a
    network of another form is found out.

    Args:
        network: gives embeddings (N, D) of unit length; its `architecture` names the input size.
        rotation: R, (D, D).

    Raises:
        UserError: what follows the last linear layer does not commute with the map; the network is
            left as it was.
    """
    training = network.training
    network.eval()
    size = network.architecture.input_size  # type: ignore[union-attr]  # a module's attribute
    images = patch_images(8, int(size), seed=0)  # type: ignore[arg-type]
    turn = rotation.double()
    wanted = network(images).double() @ turn.T
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    layer, norm = _head(network)
    if layer is not None and len(layer.weight) == len(turn):
        _turn_head(layer, norm, turn)
    off = (network(images).double() - wanted).abs().max().item()
    network.train(training)
    if not off < TOLERANCE:
        network.load_state_dict(kept)
        raise UserError(
            f"The last layer of a {type(network).__name__} cannot take a rotation of its "
            "embeddings.",
            "Use another method than procrustes, or a network whose embedding is a linear layer.",
        )


def _head(
    network: nn.Module,
) -> tuple[nn.Linear | nn.Conv2d | None, nn.BatchNorm1d | None]:
    """The last linear layer or 1x1 convolution, and the batch norm of vectors after it, if any."""
    layer: nn.Linear | nn.Conv2d | None = None
    norm: nn.BatchNorm1d | None = None
    for module in network.modules():
        if isinstance(module, nn.Linear) or (
            isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
        ):
            layer, norm = module, None
        elif isinstance(module, nn.BatchNorm1d):
            norm = module
    return layer, norm


def _turn_head(layer: nn.Linear | nn.Conv2d, norm: nn.BatchNorm1d | None, rotation: Tensor) -> None:
    """Turns the layer's rows; a norm is folded into them first and then holds only the bias."""
    rows = layer.weight.double().flatten(1)  # (D, C)
    bias = torch.zeros(len(rows), dtype=torch.float64)
    if layer.bias is not None:
        bias = layer.bias.double()
    if norm is not None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        rows = rows * scale[:, None]
        bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
        norm.weight.fill_((1.0 + norm.eps) ** 0.5)
        norm.bias.copy_(rotation @ bias)
    layer.weight.copy_((rotation @ rows).view_as(layer.weight))
    if layer.bias is not None:
        layer.bias.copy_(torch.zeros_like(bias) if norm is not None else rotation @ bias)
