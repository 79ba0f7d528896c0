"""Rotates a network's embeddings by an orthogonal map, inside its last linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecmp.errors import UserError
from edgecmp.networks.random_weights import patch_images

__all__ = ["rotate_embedding"]

TOLERANCE = 1e-4
"""Largest difference in the values of unit embeddings that float32 rounding may cause."""


@torch.no_grad()
def rotate_embedding(network: nn.Module, rotation: Tensor) -> None:
    """Folds an orthogonal map into a network, in place: e(x) becomes R e(x) at no extra cost.

    The last linear layer (or 1x1 convolution) is assumed to compute the embedding, together with a
    batch norm after it if there is one. The result is compared with the map on images, so that the
    assumption is checked.

    Args:
        network: returns embeddings (N, D) of unit length; its `architecture` has the input size.
        rotation: R, (D, D).

    Raises:
        UserError: the operations after the last linear layer do not commute with the map; the
            network is not changed.
    """
    training = network.training
    network.eval()
    size = network.architecture.input_size  # type: ignore[union-attr]  # a module's attribute
    images = patch_images(8, int(size), seed=0)  # type: ignore[arg-type]
    rotation = rotation.double()
    expected = network(images).double() @ rotation.T
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    layer, norm = _head(network)
    if layer is not None and len(layer.weight) == len(rotation):
        _rotate_head(layer, norm, rotation)
    error = (network(images).double() - expected).abs().max().item()
    network.train(training)
    if not error < TOLERANCE:
        network.load_state_dict(kept)
        raise UserError(
            f"The embeddings of a {type(network).__name__} cannot be rotated by its last layer.",
            "Use another method than procrustes, or a network that ends in a linear layer.",
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


def _rotate_head(
    layer: nn.Linear | nn.Conv2d, norm: nn.BatchNorm1d | None, rotation: Tensor
) -> None:
    """Rotates the rows of the layer, after folding the norm into them except for the bias."""
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
