"""A tiny real search: an untrained supernet at 32 pixels on a corner of the emoji set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edgecmp.bundle import GalleryBundle, Manifest, SupernetBundle
from edgecmp.data import DATASETS, Dataset, load_dataset, register_dataset
from edgecmp.networks.gallery import build_gallery
from edgecmp.networks.supernet import Supernet
from edgecmp.preprocessing import Preprocessing
from edgecmp.search import SearchResult, run

SIZE = 32
IDENTITIES = 12


def tiny_emoji(gallery_domain: str | None = None) -> Dataset:
    """The emoji set with 12 hold-out identities and 64 training images."""
    emoji = load_dataset("emoji")
    few = np.unique(emoji.validation.identities)[:IDENTITIES]
    validation = emoji.validation.subset(np.isin(emoji.validation.identities, few))
    train = emoji.train.subset(np.arange(64)).relabelled()
    return replace(emoji, name="tiny-emoji", train=train, validation=validation)


if "tiny-emoji" not in DATASETS:
    register_dataset("tiny-emoji")(tiny_emoji)


def save_tiny_models(folder: Path, *, embedding_dim: int = 128) -> None:
    """Writes `folder`/gallery and `folder`/supernet, untrained but calibrated to one another."""
    torch.manual_seed(0)
    preprocessing = Preprocessing(input_size=SIZE).to_dict()
    about = {"embedding_dim": embedding_dim, "input_size": SIZE}
    gallery = GalleryBundle(
        network=build_gallery("resnet18s", embedding_dim=embedding_dim, input_size=SIZE).eval(),
        classifier=torch.randn(4, embedding_dim),
        manifest=Manifest(
            kind="gallery", network={"name": "resnet18s", **about}, preprocessing=preprocessing
        ),
    ).save(folder / "gallery", half=True)
    SupernetBundle(
        network=Supernet("100M", embedding_dim=embedding_dim, input_size=SIZE),
        manifest=Manifest(
            kind="supernet",
            network={"tier": "100M", **about},
            preprocessing=preprocessing,
            gallery_sha256=gallery.sha256,
        ),
    ).save(folder / "supernet", half=True)


def tiny_run(models: Path, out: Path) -> SearchResult:
    return run(
        "95M",
        out=out,
        supernet=models / "supernet",
        gallery=models / "gallery",
        data="tiny-emoji",
        population=5,
        generations=4,
        seed=3,
    )
