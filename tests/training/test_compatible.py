"""CompatibleLoss: the recipes' losses bit for bit, blended images, and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.losses import BCT, CosFace
from edgecmp.networks.embed import embed
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.methods import (
    KD,
    METHODS,
    BackwardCompatible,
    Imitation,
    Method,
    RegressionCosine,
    Scratch,
    method_named,
)
from edgecmp.training.recipes import query_recipe, supernet_recipe
from edgecmp.training.shown import Shown
from tests.fixtures.small_training import (
    DIM,
    PREPROCESSING,
    TRAIN,
    small_gallery,
    supervised,
    table_of,
)


@pytest.fixture(scope="module")
def gallery() -> GalleryBundle:
    return small_gallery()


def _images() -> Tensor:
    return PREPROCESSING.normalise(TRAIN.pixels(PREPROCESSING))


FACE = {"scale": 30.0, "margin": 0.35, "bct_margin": 0.35}
# weights of the formula that the recipes' losses had before there were methods
OLD = {
    ("query", "emoji"): {"bct": 0.3, "imitation": 10.0, "mixed": 0.75},
    ("query", "emoji-imitate"): {"imitation": 10.0, "mixed": 1.0},
    ("query", "bct"): {"own": 1.0, "bct": 1.0, "bct_margin": 0.2},
    ("supernet", "emoji"): {"bct": 1.0, "regression": 10.0},
    ("supernet", "emoji-vanilla"): {"own": 1.0},
    ("supernet", "emoji-bct"): {"own": 1.0, "bct": 1.0},
    ("query", "emoji-pruned"): {"bct": 1.0, "regression": 10.0},
    ("query", "face"): {"own": 1.0, "bct": 1.0, **FACE},
    ("supernet", "face-100M"): {"own": 1.0, "bct": 1.0, **FACE},
    ("supernet", "face-vanilla"): {"own": 1.0, **FACE},
}


def _old_formula(
    weights: dict[str, float], gallery: GalleryBundle, embeddings: Tensor, images: Tensor
) -> Tensor:
    """imitation + own + bct + regression, in that order, the last three without blended images."""
    loss = embeddings.new_zeros(())
    if weights.get("imitation"):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            targets = gallery.network(images)
        loss = loss + weights["imitation"] * (1.0 - (embeddings * targets).sum(1)).mean()
    mixed = int(weights.get("mixed", 0.0) * len(images))
    embeddings, labels = embeddings[mixed:], torch.from_numpy(TRAIN.identities)[mixed:]
    scale = weights.get("scale", 24.0)
    if weights.get("own"):
        torch.manual_seed(5)
        own = CosFace(len(gallery.classifier), DIM, scale=scale, margin=weights.get("margin", 0.2))
        loss = loss + weights["own"] * own(embeddings, labels)
    if weights.get("bct"):
        bct = BCT(gallery.classifier, scale=scale, margin=weights.get("bct_margin", 0.0))
        loss = loss + weights["bct"] * bct(embeddings, labels)
    if weights.get("regression"):
        clean = embed(gallery.network, TRAIN.pixels(PREPROCESSING), PREPROCESSING)
        targets = torch.from_numpy(clean)[mixed:]
        loss = loss + weights["regression"] * (1.0 - (embeddings * targets).sum(1)).mean()
    return loss


@pytest.mark.parametrize(("kind", "name"), OLD)
def test_the_losses_of_recipes_equal_the_old_formula_bit_for_bit(
    kind: str, name: str, gallery: GalleryBundle
) -> None:
    recipe = query_recipe(name) if kind == "query" else supernet_recipe(name)
    images, indices = _images(), torch.arange(12)
    start = F.normalize(torch.randn(12, DIM), dim=1)
    torch.manual_seed(5)
    criterion = CompatibleLoss(recipe.methods, supervised(gallery))
    assert criterion.mixed == OLD[kind, name].get("mixed", 0.0)
    shown = criterion.prepared(Shown(images, indices), torch.Generator().manual_seed(0))
    images = shown.images
    one, other = start.clone().requires_grad_(), start.clone().requires_grad_()
    found: Tensor = criterion(one, shown)
    expected = _old_formula(OLD[kind, name], gallery, other, images)
    assert found.item() == expected.item()
    torch.autograd.backward([found, expected])
    assert one.grad is not None
    assert other.grad is not None
    assert torch.equal(one.grad, other.grad)


def test_losses_of_several_methods_add_up(gallery: GalleryBundle) -> None:
    shown = Shown(_images(), torch.arange(12))
    embeddings = F.normalize(torch.randn(12, DIM), dim=1)

    def loss(*methods: Method) -> float:
        criterion = CompatibleLoss(methods, supervised(gallery))
        return float(criterion(embeddings, criterion.prepared(shown, torch.Generator())))

    bct, regression = BackwardCompatible(own=0.0), RegressionCosine(weight=1.0)
    both = loss(replace(bct, bct=2.0), replace(regression, weight=3.0))
    assert both == pytest.approx(2 * loss(bct) + 3 * loss(regression), rel=1e-5)


def test_blended_images_are_used_for_imitation_only(gallery: GalleryBundle) -> None:
    images, indices = _images(), torch.arange(12)
    methods = (Imitation(weight=0.0, mixed=0.5), BackwardCompatible(own=0.0, bct_margin=0.0))
    criterion = CompatibleLoss(methods, supervised(gallery))
    shown = criterion.prepared(Shown(images, indices), torch.Generator().manual_seed(0))
    mixed = shown.images
    assert torch.equal(mixed[6:], images[6:])
    centre = slice(15, 17)  # four pixels that every direction permutes among themselves
    sources = images[:6, :, centre, centre]
    bounds = torch.stack([sources, sources.roll(-1, 0)]).amin((0, 3, 4)) - 1e-6
    tops = torch.stack([sources, sources.roll(-1, 0)]).amax((0, 3, 4)) + 1e-6
    inside = mixed[:6, :, centre, centre]
    assert (inside >= bounds[..., None, None]).all()
    assert (inside <= tops[..., None, None]).all()
    assert not torch.equal(mixed[:6], images[:6])
    embeddings = F.normalize(torch.randn(12, DIM), dim=1)
    expected = BCT(gallery.classifier)(embeddings[6:], criterion.labels[6:])
    torch.testing.assert_close(criterion(embeddings, shown), expected)


def test_the_gallery_model_is_not_trained(gallery: GalleryBundle) -> None:
    methods = [method_named(name) for name in METHODS]
    criterion = CompatibleLoss(methods, supervised(gallery))
    trained = [name for name, p in criterion.named_parameters() if p.requires_grad]
    own = ("scratch", "fine-tune", "kd", "bct", "procrustes")
    assert trained == [f"losses.{list(METHODS).index(name)}.own.weight" for name in own]


def test_a_classifier_of_other_identities_is_replaced_by_their_mean_embeddings(
    gallery: GalleryBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    others = load_dataset("emoji").train.subset(np.arange(12, 24)).relabelled()
    found = supervised(gallery, others).classifier.numpy()
    assert "mean embedding of each identity" in capsys.readouterr().err
    embeddings = gallery.embed(others.pixels(PREPROCESSING))
    for identity, row in enumerate(found):
        mean = embeddings[others.identities == identity].mean(0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert torch.equal(supervised(gallery).classifier, gallery.classifier)


def test_a_table_refuses_what_needs_the_network_and_lists_what_works(
    gallery: GalleryBundle,
) -> None:
    ground = supervised(table_of(gallery))
    for method in (Imitation(), KD()):
        with pytest.raises(UserError, match=rf"{method.name} needs the network itself") as raised:
            CompatibleLoss([method], ground)
        names = raised.value.way_out.split(": ")[1].rstrip(".").split(", ")
        assert set(names) == set(METHODS) - {"imitation", "kd"}
    for name in names:
        CompatibleLoss([method_named(name)], ground)


def test_a_table_without_some_training_images_says_how_many(gallery: GalleryBundle) -> None:
    ground = supervised(table_of(gallery, TRAIN.subset(np.arange(9))))
    with pytest.raises(
        UserError, match=r"none for 3 of 12 images.* works with this gallery: scratch\.$"
    ):
        CompatibleLoss([BackwardCompatible()], ground)
    CompatibleLoss([Scratch()], ground)
