"""What the tests of pruning share: a live network of bottleneck units, and real drawings."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from numpy.typing import NDArray

from edgecmp.bundle import GalleryBundle, Manifest
from edgecmp.data import load_dataset
from edgecmp.networks.gallery import build_gallery
from edgecmp.networks.live import draw_norms
from edgecmp.networks.pruned import residual_units, unit_body
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.preprocessing import Preprocessing

SIZE = 32
PREPROCESSING = Preprocessing(input_size=SIZE)


def drawings(count: int, *, size: int = SIZE) -> NDArray[Any]:
    """The first drawings of the embedded training split, (N, S, S, 3) uint8."""
    train = load_dataset("emoji").train
    step = len(train) // count
    return train.pixels(Preprocessing(input_size=size), range(0, step * count, step))


@torch.no_grad()
def live_gallery(name: str, *, seed: int = 0, embedding_dim: int = 16) -> GalleryBundle:
    """A network that tells images apart, without training: see `edgecmp.networks.live`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_gallery(name, embedding_dim=embedding_dim, input_size=SIZE)
        draw_norms(network)
    recalibrate(network, [PREPROCESSING.normalise(drawings(64))])
    manifest = Manifest(
        kind="gallery",
        network={"name": name, "embedding_dim": embedding_dim, "input_size": SIZE},
        preprocessing=PREPROCESSING.to_dict(),
    )
    classifier = torch.nn.functional.normalize(torch.ones(3, embedding_dim), dim=1)
    return GalleryBundle(network=network, classifier=classifier, manifest=manifest)


def inner_pairs(network: Any) -> list[tuple[Any, Any]]:
    """Each inner block of each residual unit and the block after it."""
    bodies = [unit_body(unit) for unit in residual_units(network)]
    return [pair for body in bodies for pair in itertools.pairwise(body)]
