"""CompatibleLoss: each term by itself, and what blended images leave out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgecmp.bundle import GalleryBundle, Manifest
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.losses import BCT
from edgecmp.networks.gallery import build_gallery
from edgecmp.preprocessing import Preprocessing
from edgecmp.training.compatible import CompatibleLoss, LossWeights

PREPROCESSING = Preprocessing(input_size=32)
TRAIN = load_dataset("emoji").train.subset(np.arange(12)).relabelled()


@pytest.fixture(scope="module")
def gallery() -> GalleryBundle:
    torch.manual_seed(0)
    classes = len(TRAIN.identity_names)
    return GalleryBundle(
        network=build_gallery("resnet18s", embedding_dim=16, input_size=32).eval(),
        classifier=F.normalize(torch.randn(classes, 16), dim=1),
        manifest=Manifest(
            kind="gallery",
            preprocessing=PREPROCESSING.to_dict(),
            data={"name": TRAIN.name, "fingerprint": TRAIN.fingerprint},
        ),
    )


def _images() -> torch.Tensor:
    return PREPROCESSING.normalise(TRAIN.pixels(PREPROCESSING))


def test_the_gallery_models_own_embeddings_have_no_regression_loss(gallery: GalleryBundle) -> None:
    images, indices = _images(), torch.arange(12)
    with torch.no_grad():
        embeddings = gallery.network(images)
    for weights, bound in (
        (LossWeights(bct=0.0, regression=1.0), 1e-5),
        (LossWeights(bct=0.0, imitation=1.0), 1e-2),  # the target is computed in bfloat16
    ):
        criterion = CompatibleLoss(weights, gallery, TRAIN, PREPROCESSING)
        assert criterion(embeddings, indices, images).item() < bound
        assert criterion(-embeddings, indices, images).item() > 1.9


def test_terms_add_up_with_their_weights(gallery: GalleryBundle) -> None:
    images, indices = _images(), torch.arange(12)
    embeddings = F.normalize(torch.randn(12, 16), dim=1)

    def loss(weights: LossWeights) -> float:
        criterion = CompatibleLoss(weights, gallery, TRAIN, PREPROCESSING)
        return float(criterion(embeddings, indices, images))

    both = loss(LossWeights(bct=2.0, regression=3.0))
    parts = 2 * loss(LossWeights()) + 3 * loss(LossWeights(bct=0.0, regression=1.0))
    assert both == pytest.approx(parts, rel=1e-5)


def test_blended_images_count_for_imitation_only(gallery: GalleryBundle) -> None:
    images, indices = _images(), torch.arange(12)
    weights = LossWeights(bct=1.0, mixed=0.5)
    criterion = CompatibleLoss(weights, gallery, TRAIN, PREPROCESSING)
    mixed = criterion.mix(images, torch.Generator().manual_seed(0))
    assert torch.equal(mixed[6:], images[6:])
    centre = slice(15, 17)  # four pixels that every direction permutes among themselves
    sources = images[:6, :, centre, centre]
    bounds = torch.stack([sources, sources.roll(-1, 0)]).amin((0, 3, 4)) - 1e-6
    tops = torch.stack([sources, sources.roll(-1, 0)]).amax((0, 3, 4)) + 1e-6
    inside = mixed[:6, :, centre, centre]
    assert (inside >= bounds[..., None, None]).all()
    assert (inside <= tops[..., None, None]).all()
    assert not torch.equal(mixed[:6], images[:6])
    embeddings = F.normalize(torch.randn(12, 16), dim=1)
    expected = BCT(gallery.classifier)(embeddings[6:], criterion.labels[6:])
    torch.testing.assert_close(criterion(embeddings, indices, mixed), expected)


def test_bct_refuses_a_classifier_of_other_identities(gallery: GalleryBundle) -> None:
    others = load_dataset("emoji").train.subset(np.arange(12, 24)).relabelled()
    with pytest.raises(UserError, match="BCT needs the gallery model's classifier"):
        CompatibleLoss(LossWeights(), gallery, others, PREPROCESSING)
    CompatibleLoss(LossWeights(bct=0.0, regression=1.0), gallery, others, PREPROCESSING)


def test_the_gallery_model_is_not_trained(gallery: GalleryBundle) -> None:
    criterion = CompatibleLoss(
        LossWeights(own=1.0, bct=1.0, regression=1.0, imitation=1.0), gallery, TRAIN, PREPROCESSING
    )
    trained = [name for name, p in criterion.named_parameters() if p.requires_grad]
    assert trained == ["own.weight"]
