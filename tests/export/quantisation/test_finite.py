"""Networks that are not finite, and calibration images that say little, are told by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from edgecmp.errors import UserError
from edgecmp.export.lowering import lower
from edgecmp.export.lowering.graph import Linear
from edgecmp.export.quantisation.calibration import check_variety
from edgecmp.export.quantisation.finite import NonFinite, check_weights
from edgecmp.export.quantisation.fp16_safety import check_fp16
from edgecmp.export.quantisation.observers import observe
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.preprocessing import Preprocessing

MakeNetwork = Callable[[Architecture, int], QueryNet]
MakeImages = Callable[[int, int, int], Tensor]

ARCHITECTURE = Architecture.random("100M", seed=2, embedding_dim=16, input_size=64)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_images_of_the_first_layer_are_counted(value: float) -> None:
    finite = NonFinite()
    for _ in range(2):
        batch = torch.zeros(5, 3, 2, 2)
        finite.start_batch(5)
        finite.look("a", batch)
        batch[[1, 3], 0, 1, 0] = value
        batch[3, 1] = value
        finite.look("b", batch)
        finite.look("c", torch.full_like(batch, value))
    with pytest.raises(UserError, match="the first are those of b, for 4 of 10 images"):
        finite.check()


def test_large_sums_are_finite() -> None:
    finite = NonFinite()
    finite.start_batch(2)
    finite.look("a", torch.full((2, 3, 4, 4), 3e38))
    finite.check()


def test_calibration_refuses_what_is_not_finite(
    random_network: MakeNetwork, images: MakeImages
) -> None:
    """One image of 6 is out of range, in the layer where that shows first."""
    network = lower(random_network(ARCHITECTURE, 2))
    batch = images(6, 64, 1)
    batch[4] = 3e38
    with pytest.raises(UserError, match=r"the first are those of stem\S*, for 1 of 6 images"):
        observe(network, [batch[:3], batch[3:]])


def test_float16_is_not_tried_where_float32_is_not_finite(
    random_network: MakeNetwork, images: MakeImages
) -> None:
    network = random_network(ARCHITECTURE, 2)
    with torch.no_grad():
        network.embedding.linear.weight.mul_(1e30)
        network.embedding.bn.weight.fill_(1e30)
    pixels = ((images(4, 64, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).contiguous().numpy()
    with pytest.raises(UserError, match=r"are those of \S+, for 4 of 4 images|not finite"):
        check_fp16(lower(network), pixels, Preprocessing(input_size=64))


def test_weights_are_refused_by_their_layer(random_network: MakeNetwork) -> None:
    graph = lower(random_network(ARCHITECTURE, 2)).graph
    check_weights(graph)
    linear = next(node for node in graph if isinstance(node, Linear))
    linear.bias[3] = np.nan
    with pytest.raises(UserError, match="The bias of the network's layer linear contains"):
        check_weights(graph)


@pytest.mark.parametrize(
    ("different", "copies", "says"),
    [
        (1, 1, "Warning: calibrated on only one image from photos"),
        (5, 20, "Warning: calibrated on only 5 different images from photos"),
        (40, 1, ""),
    ],
)
def test_few_calibration_images_are_told(
    different: int, copies: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.arange(different, dtype=np.uint8)[:, None, None, None] * np.ones(
        (2, 2, 3), np.uint8
    )
    check_variety(np.repeat(images, copies, axis=0), "photos")
    said = capsys.readouterr().err
    assert said.startswith(says) if says else not said


def test_one_image_over_and_over_is_refused() -> None:
    with pytest.raises(UserError, match="All 7 calibration images from photos are the same image"):
        check_variety(np.zeros((7, 2, 2, 3), np.uint8), "photos")
