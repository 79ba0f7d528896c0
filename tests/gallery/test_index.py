"""The gallery index: exact search, its model's embeddings, refusal of another model's index."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edgecmp.artefacts.bundle import GalleryBundle, Manifest
from edgecmp.data import ImageSet, load_dataset
from edgecmp.errors import UserError
from edgecmp.gallery.index import GalleryIndex
from edgecmp.metrics import ranked
from edgecmp.networks.embed import embed
from edgecmp.networks.gallery import build_gallery
from edgecmp.preprocessing import Preprocessing

PREPARE = Preprocessing(input_size=16)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> GalleryBundle:
    """A small gallery model with random weights, on disk."""
    torch.manual_seed(0)
    network = build_gallery("resnet18s", embedding_dim=24, input_size=16)
    about = {"name": "resnet18s", "embedding_dim": 24, "input_size": 16}
    manifest = Manifest(kind="gallery", network=about, preprocessing=PREPARE.to_dict())
    made = GalleryBundle(network=network, classifier=torch.zeros(5, 24), manifest=manifest)
    return made.save(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load_dataset("emoji").retrieval("validation").gallery.subset(range(40))


@pytest.fixture
def folder(bundle: GalleryBundle, images: ImageSet, tmp_path: Path) -> Path:
    GalleryIndex.build(bundle, images, tmp_path / "index")
    return tmp_path / "index"


def test_index_contains_the_models_embeddings(
    folder: Path, bundle: GalleryBundle, images: ImageSet
) -> None:
    index = GalleryIndex.load(folder, gallery_sha256=bundle.sha256)
    expected = embed(bundle.network, images.pixels(PREPARE), PREPARE)
    np.testing.assert_allclose(index.embeddings, expected, atol=1e-6)
    assert index.embeddings.dtype == np.float32
    assert index.keys == images.keys
    assert np.array_equal(index.identities, images.identities)
    assert index.identity_names == images.identity_names
    assert index.manifest.preprocessing_fingerprint == PREPARE.fingerprint
    assert index.manifest.data == {"name": "emoji", "fingerprint": images.fingerprint}
    assert index.rows[0]["images"] == len(index) == 40
    assert json.loads(json.dumps(index.to_dict()))["manifest"]["gallery_sha256"] == bundle.sha256


def test_pieces_do_not_change_the_index(
    bundle: GalleryBundle, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = GalleryIndex.build(bundle, images, tmp_path / "whole")
    monkeypatch.setattr("edgecmp.gallery.index._IMAGES_AT_ONCE", 7)
    pieces = GalleryIndex.build(bundle, images, tmp_path / "pieces")
    np.testing.assert_allclose(pieces.embeddings, whole.embeddings, atol=1e-6)
    assert pieces.keys == whole.keys


def test_search_is_exact(folder: Path) -> None:
    index = GalleryIndex.load(folder)
    noise = np.random.default_rng(0).normal(scale=0.05, size=index.embeddings.shape)
    queries = (index.embeddings + noise).astype(np.float32)
    scores, indices = index.search(queries, 5)
    expected_scores, expected = ranked(queries, index.embeddings, 5)
    assert np.array_equal(indices, expected)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)
    assert index.search(queries, 1000)[1].shape == (40, 40)


def test_equal_scores_come_in_the_gallerys_order(folder: Path) -> None:
    index = GalleryIndex.load(folder)
    twice = GalleryIndex(
        embeddings=np.concatenate([index.embeddings[:3]] * 2),
        identities=np.arange(6),
        identity_names=tuple("abcdef"),
        keys=tuple("abcdef"),
        manifest=index.manifest,
    )
    assert twice.search(index.embeddings[:3], 2)[1].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_saved_again_it_is_the_same(folder: Path, tmp_path: Path) -> None:
    index = GalleryIndex.load(folder)
    again = GalleryIndex.load(index.save(tmp_path / "copy"))
    assert np.array_equal(again.embeddings, index.embeddings)
    assert again.manifest == index.manifest


def test_another_models_index_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="another gallery model"):
        GalleryIndex.load(folder, gallery_sha256="0" * 64)


def test_embeddings_of_another_size_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="has 64 values, but a gallery embedding has 24"):
        GalleryIndex.load(folder).search(np.zeros((1, 64), np.float32), 1)


@pytest.mark.parametrize("name", ["embeddings.safetensors", "images.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "changed"])
def test_a_damaged_index_is_refused(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif name == "embeddings.safetensors":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif name == "images.json":
        path.write_bytes(content.replace(b"google/", b"gaggle/", 1))
    else:
        path.write_bytes(content.replace(b"embeddings_sha256", b"embedding_sha256"))
    with pytest.raises(UserError, match=r"index|manifest"):
        GalleryIndex.load(folder)


def test_a_models_folder_is_not_an_index(bundle: GalleryBundle) -> None:
    assert bundle.folder is not None
    with pytest.raises(UserError, match="is not a gallery index"):
        GalleryIndex.load(bundle.folder)


def test_an_empty_gallery_is_refused(
    bundle: GalleryBundle, images: ImageSet, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no image for the gallery"):
        GalleryIndex.build(bundle, images.subset([]), tmp_path / "index")
    assert not (tmp_path / "index").exists()
