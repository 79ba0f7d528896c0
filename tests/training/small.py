"""A dozen training images at 32 pixels, a gallery model of them, and the same in other forms."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from edgecmp.bundle import GalleryBundle, Manifest
from edgecmp.data import ImageSet, load_dataset
from edgecmp.embedding_table import EmbeddingTable
from edgecmp.gallery_source import ModelSource, TableSource, open_source
from edgecmp.networks.gallery import build_gallery
from edgecmp.networks.live import draw_norms, patch_images
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.supervision import Supervision

__all__ = ["DIM", "PREPROCESSING", "TRAIN", "small_gallery", "supervised", "table_of"]

DIM = 16
PREPROCESSING = Preprocessing(input_size=32)
TRAIN = load_dataset("emoji").train.subset(np.arange(12)).relabelled()


def small_gallery() -> GalleryBundle:
    """A random ResNet whose embeddings differ from image to image."""
    torch.manual_seed(0)
    network = build_gallery("resnet18s", embedding_dim=DIM, input_size=32)
    with torch.no_grad():
        draw_norms(network)
    recalibrate(network, [patch_images(8, 32, seed=1)])
    return GalleryBundle(
        network=network.eval(),
        classifier=F.normalize(torch.randn(len(TRAIN.identity_names), DIM), dim=1),
        manifest=Manifest(
            kind="gallery",
            preprocessing=PREPROCESSING.to_dict(),
            data={"name": TRAIN.name, "fingerprint": TRAIN.fingerprint},
        ),
    )


def table_of(gallery: GalleryBundle, images: ImageSet = TRAIN) -> TableSource:
    """The gallery's embeddings of these images as a table."""
    embeddings = ModelSource(gallery).embeddings(images)
    return TableSource(EmbeddingTable.of(images.keys, embeddings, name="a table"))


def supervised(
    gallery: GalleryBundle | TableSource,
    train: ImageSet = TRAIN,
    preprocessing: Preprocessing = PREPROCESSING,
) -> Supervision:
    """The supervision of the training images by a gallery."""
    return Supervision(open_source(gallery), train, preprocessing)
