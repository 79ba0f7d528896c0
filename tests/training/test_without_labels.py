"""Training with images without labels: losses, records, and the protocol of the figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

import edgecmp as package
from edgecmp.artefacts.bundle import QueryBundle, SupernetBundle
from edgecmp.artefacts.seen import SEEN
from edgecmp.data import load_dataset
from edgecmp.data.contents import contents_of
from edgecmp.data.joined import join
from edgecmp.errors import UserError
from edgecmp.gallery.source import open_source
from edgecmp.training import supernet
from edgecmp.training.checkpoint import Checkpoint
from edgecmp.training.compatible import CompatibleLoss
from edgecmp.training.methods import METHODS, BackwardCompatible, RegressionCosine, method_named
from edgecmp.training.more_images import MoreImages
from edgecmp.training.shown import Shown
from edgecmp.training.supervision import Supervision
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.small_training import DIM, PREPROCESSING, TRAIN, small_gallery, table_of

SPLITS = {"train": 6, "validation": 6, "test": 4}
EXTRA = load_dataset("emoji").train.subset(np.arange(100, 106))
QUICK: dict[str, Any] = {"recipe": "tiny", "epochs": 1, "input_size": 32}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_identities(tmp_path_factory.mktemp("data") / "photos", SPLITS)


@pytest.fixture(scope="module")
def gallery(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gallery")
    package.train_gallery(recipe="tiny", data=str(photos), out=out)
    return out


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unlabelled")
    for number, row in enumerate(EXTRA.rows):
        EXTRA.source.image(int(row)).convert("RGB").save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def known(photos: Path, gallery: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A query network that was trained on the gallery's images."""
    out = tmp_path_factory.mktemp("known")
    package.train_query(
        package.Architecture.random("100M", seed=0),
        **QUICK,
        method="regression-cosine",
        gallery=gallery,
        supernet="none",
        data=str(photos),
        gallery_images=True,
        out=out,
    )
    return out


def test_methods_that_need_labels_see_the_labelled_images_only() -> None:
    joined = join(TRAIN, [EXTRA])
    source = open_source(small_gallery())
    criterion = CompatibleLoss(
        [BackwardCompatible(own=0.0), RegressionCosine()],
        Supervision(source, joined, PREPROCESSING),
    )
    embeddings = F.normalize(torch.randn(18, DIM), dim=1).requires_grad_()
    shown = Shown(indices=torch.arange(18), images=torch.zeros(18, 3, 32, 32))
    labelled = CompatibleLoss(
        [BackwardCompatible(own=0.0)], Supervision(source, TRAIN, PREPROCESSING)
    )
    one = labelled(embeddings[:12], shown.of(slice(0, 12)))
    regression = CompatibleLoss([RegressionCosine()], Supervision(source, joined, PREPROCESSING))
    torch.testing.assert_close(criterion(embeddings, shown), one + regression(embeddings, shown))
    only = criterion(embeddings[12:], shown.of(slice(12, None)))
    torch.testing.assert_close(only, regression(embeddings[12:], shown.of(slice(12, None))))


def test_the_classifier_is_that_of_the_labelled_images() -> None:
    gallery = small_gallery()
    found = Supervision(open_source(gallery), join(TRAIN, [EXTRA]), PREPROCESSING)
    assert torch.equal(found.classifier, gallery.classifier)
    table = table_of(gallery, join(TRAIN, [EXTRA]))
    means, expected = (
        Supervision(table, images, PREPROCESSING).classifier
        for images in (join(TRAIN, [EXTRA]), TRAIN)
    )
    torch.testing.assert_close(means, expected)


def test_methods_that_all_need_labels_are_refused() -> None:
    supervision = Supervision(open_source(small_gallery()), join(TRAIN, [EXTRA]), PREPROCESSING)
    usable = []
    for name in METHODS:
        try:
            CompatibleLoss([method_named(name)], supervision)
        except UserError as error:
            assert f"{name} needs the identities" in error.what  # noqa: PT017
        else:
            usable.append(name)
    assert usable == [
        *("regression-mse", "regression-cosine", "similarities", "imitation", "csd", "d3still")
    ]


def test_a_network_records_what_it_was_trained_on(
    photos: Path,
    gallery: Path,
    unlabelled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train(**options: Any) -> Any:
        return package.train_query(
            package.Architecture.random("100M", seed=0),
            **QUICK,
            gallery=gallery,
            supernet="none",
            data=str(photos),
            out=tmp_path / "query",
            **options,
        )

    report = train(unlabelled=unlabelled)
    assert "In each batch 20% of the images are without labels." in capsys.readouterr().err
    assert report.rows[0]["protocol_name"] == "identities unseen"
    bundle = QueryBundle.load(tmp_path / "query")
    (described,) = bundle.manifest.data["unlabelled"]
    assert described["name"] == str(unlabelled)
    assert described["images"] == 6
    assert "gallery_known" not in bundle.manifest.data
    assert bundle.seen is not None
    images = MoreImages.open(load_dataset(photos), [unlabelled]).unlabelled[0]
    assert set(bundle.seen.digests) == set(contents_of(images).digests)
    assert train(unlabelled=[unlabelled]).rows == report.rows
    assert "nothing is trained" in capsys.readouterr().err
    with pytest.raises(UserError, match="other settings: the training data; the images without"):
        train()
    rows = package.evaluate(tmp_path / "query", gallery=gallery, data=str(photos)).rows
    assert {row["protocol_name"] for row in rows} == {"identities unseen"}
    bundle.save(tmp_path / "copy")
    assert QueryBundle.load(tmp_path / "copy").manifest.data == bundle.manifest.data
    (tmp_path / "copy" / SEEN).unlink()
    with pytest.raises(UserError, match=rf"{SEEN} cannot be read as the list of images"):
        QueryBundle.load(tmp_path / "copy")
    (tmp_path / "copy" / SEEN).write_bytes((gallery / "weights.safetensors").read_bytes())
    with pytest.raises(UserError, match="is not the list of images that the manifest"):
        QueryBundle.load(tmp_path / "copy")


def test_figures_of_a_known_gallery_say_so(photos: Path, gallery: Path, known: Path) -> None:
    bundle = QueryBundle.load(known)
    assert bundle.manifest.data["gallery_known"] == "10 images"
    assert bundle.manifest.metrics["holdout"]["protocol_name"] == "gallery known"
    report = package.evaluate(known, gallery=gallery, data=str(photos))
    assert {row["protocol_name"] for row in report.rows} == {"gallery known"}
    assert 'protocol is "gallery known": its figures must not be compared' in str(report)


def test_other_data_is_unseen_and_a_query_that_was_seen_is_refused(
    photos: Path, gallery: Path, known: Path, tmp_path: Path
) -> None:
    other = write_identities(tmp_path / "other", {"validation": 6, "test": 3})
    for file in other.rglob("*.png"):
        ImageOps.invert(Image.open(file)).save(file)
    rows = package.evaluate(known, gallery=gallery, data=str(other)).rows
    assert {row["protocol_name"] for row in rows} == {"identities unseen"}
    listed = [
        f"{file},{file.parent.name},test"
        for file in sorted(photos.glob("test/*/*.png"))
        if file.stem != "0"
    ]
    seen = photos / "test" / "test-1" / "0.png"
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,identity,split", *listed, f"{seen},test-1,test"]))
    described = tmp_path / "table.toml"
    described.write_text('path = "table.csv"')
    rows = package.evaluate(known, gallery=gallery, data=str(described)).rows
    assert {row["protocol_name"] for row in rows} == {"gallery known"}
    domain = [f"{line},{'shop' if '/1.png' in line else 'user'}" for line in listed]
    table.write_text("\n".join(["path,identity,split,domain", *domain, f"{seen},test-1,test,user"]))
    described.write_text('path = "table.csv"\ngallery_domain = "shop"')
    with pytest.raises(UserError, match="was trained on 1 of the 9 queries"):
        package.evaluate(known, gallery=gallery, data=str(described))


def test_an_interrupted_training_ends_with_the_same_weights(
    photos: Path,
    gallery: Path,
    unlabelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(out: str) -> str:
        package.train_query(
            package.Architecture.random("100M", seed=0),
            recipe="tiny",
            epochs=2,
            batch_size=8,
            gallery=gallery,
            supernet="none",
            data=str(photos),
            unlabelled=unlabelled,
            out=tmp_path / out,
        )
        return QueryBundle.load(tmp_path / out).sha256

    save = Checkpoint.save

    def killed(self: Checkpoint, *arguments: Any) -> None:
        save(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train("killed")
    monkeypatch.setattr(Checkpoint, "save", save)
    assert train("killed") == train("whole")


def test_an_exported_file_keeps_the_protocol(
    photos: Path, gallery: Path, known: Path, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    file = tmp_path / "query.onnx"
    package.export("onnx", model=known, out=file)
    rows = package.evaluate(file, gallery=gallery, data=str(photos)).rows
    assert {row["protocol_name"] for row in rows} == {"gallery known"}
    assert "gallery known" in edgecmp("inspect", file).out
    package.build_index(model=gallery, data=str(photos), out=tmp_path / "index")
    report = package.parity(file, model=known, index=tmp_path / "index", data=str(photos))
    assert report.to_dict()["protocol_name"] == "gallery known"
    assert '"gallery known"' in str(report)


def test_a_network_that_starts_from_one_that_knew_the_gallery_knows_it(
    photos: Path, gallery: Path, known: Path, tmp_path: Path
) -> None:
    report = package.train_query(
        known / "architecture.json",
        **QUICK,
        method="regression-cosine",
        gallery=gallery,
        start=known,
        data=str(photos),
        out=tmp_path / "query",
    )
    assert report.rows[0]["protocol_name"] == "gallery known"
    assert QueryBundle.load(tmp_path / "query").manifest.data["gallery_known"] == "10 images"


@pytest.mark.slow
def test_a_supernet_and_the_network_that_it_grows_from_learn_from_more_images(
    photos: Path,
    gallery: Path,
    unlabelled: Path,
    tmp_path: Path,
    edgecmp: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supernet, "CHANCE_FACTOR", 0.0)
    result = edgecmp(
        *("train", "supernet", "--recipe", "tiny", "--start", "none", "--gallery", gallery),
        *("--data", photos, "--unlabelled", unlabelled, "--gallery-images"),
        *("--out", tmp_path / "supernet"),
    )
    assert result.code == 0, result.err
    assert "gallery known" in result.out
    bundle = SupernetBundle.load(tmp_path / "supernet")
    assert bundle.seen is not None
    assert (len(bundle.seen.digests), int(bundle.seen.gallery.sum())) == (16, 10)
    seed = QueryBundle.load(tmp_path / "supernet" / "seed")
    assert seed.manifest.data == bundle.manifest.data
