"""The gallery index: exact search, its model's embeddings, refusal of another model's index."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgecmp.artefacts.bundle import GalleryBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.data import ImageSet, load_dataset
from edgecmp.errors import UserError
from edgecmp.files import (
    read_tensors,
    seal,
    sha256_json,
    sha256_tensors,
    write_json,
    write_tensors,
)
from edgecmp.gallery.index import GalleryIndex
from edgecmp.metrics import ranked
from edgecmp.networks.embed import embed
from edgecmp.networks.gallery import build_gallery
from edgecmp.preprocessing import Preprocessing
from edgecmp.storage import folder_lock

PREPARE = Preprocessing(input_size=32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> GalleryBundle:
    """A small gallery model with random weights, on disk."""
    torch.manual_seed(0)
    network = build_gallery("resnet18s", embedding_dim=24, input_size=32)
    about = {"name": "resnet18s", "embedding_dim": 24, "input_size": 32}
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
    monkeypatch.setattr("edgecmp.gallery.embedding.IMAGES_AT_ONCE", 7)
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


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("preprocessing", "mean"), [0.4, 0.5, 0.5]),
        (("preprocessing", "input_size"), 64),
        (("gallery_sha256",), "0" * 64),
        (("data", "name"), "other"),
        (("provenance", "torch"), "0"),
        (("content_sha256",), ""),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_changed_manifest_is_refused(
    folder: Path, path: tuple[str, ...], value: object, version: int
) -> None:
    """One of version 1 has a hash of its preprocessing alone."""
    file = folder / "manifest.json"
    document = json.loads(file.read_text())
    if version == 1:
        document["format"] = "edgecmp-index/1"
        del document["content_sha256"]
        file.write_text(json.dumps(document))
        assert len(GalleryIndex.load(folder)) == 40
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(document))
    if version == 2 or path[0] == "preprocessing":
        with pytest.raises(UserError, match=r"manifest.json was changed after"):
            GalleryIndex.load(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"embeddings": None}, "has no table of float32 embeddings"),
        ({"embeddings": torch.eye(24)[:40].double()}, "has no table of float32 embeddings"),
        ({"embeddings": torch.ones(40)}, "has no table of float32 embeddings"),
        ({"embeddings": torch.zeros(0, 24)}, "has 0 embeddings of 40 images"),
        ({"embeddings": torch.eye(24)}, "has 24 embeddings of 40 images"),
        ({"embeddings": torch.ones(40, 24)}, "not every embedding has the length 1"),
        ({"embeddings": torch.full((40, 24), torch.nan)}, "not every embedding has the length 1"),
        ({"identities": None}, "has no identity of each image"),
        ({"identities": torch.zeros(39, dtype=torch.int64)}, "has no identity of each image"),
        ({"identities": torch.zeros(40)}, "identities are torch.float32, not int64"),
        ({"identities": torch.arange(40) - 1}, "an identity without a name"),
        ({"identities": torch.arange(40) + 10**12}, "an identity without a name"),
        ({"keys": "text"}, "no lists of keys"),
        ({"keys": [1] * 40}, "no lists of keys"),
        ({"identity_names": None}, "no lists of keys"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_content_that_cannot_be_searched_is_refused(
    folder: Path, change: dict[str, Any], reason: str, version: int
) -> None:
    """Even if all hashes agree, as in a document that another program wrote."""
    tensors = read_tensors(folder / "embeddings.safetensors", what="embeddings")
    names = json.loads((folder / "images.json").read_text())
    for key, value in change.items():
        part: dict[str, Any] = names if key in names else tensors
        part[key] = value
        if value is None:
            del part[key]
    write_tensors(folder / "embeddings.safetensors", tensors)
    write_json(folder / "images.json", names)
    document = json.loads((folder / "manifest.json").read_text())
    document["embeddings_sha256"] = sha256_tensors(tensors)
    document["images_sha256"] = sha256_json(names)
    del document["content_sha256"]
    document["format"] = f"edgecmp-index/{version}"
    write_json(folder / "manifest.json", document if version == 1 else seal(document))
    with pytest.raises(UserError, match=rf"The gallery index .* cannot be used: .*{reason}"):
        GalleryIndex.load(folder)


class Counting:
    """A gallery model that counts its images, and is interrupted at one of its batches."""

    def __init__(self, bundle: GalleryBundle, interrupted_at: int = -1) -> None:
        self.bundle, self.interrupted_at = bundle, interrupted_at
        self.images, self.batches = 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bundle, name)

    def embed(self, images: NDArray[Any]) -> NDArray[Any]:
        if self.batches == self.interrupted_at:
            raise KeyboardInterrupt
        self.batches, self.images = self.batches + 1, self.images + len(images)
        return self.bundle.embed(images)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecmp.gallery.embedding.IMAGES_AT_ONCE", 7)


def test_an_interrupted_build_resumes(
    bundle: GalleryBundle,
    images: ImageSet,
    tmp_path: Path,
    small_batches: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After four of six batches, of which one is then damaged."""
    whole = GalleryIndex.build(bundle, images, tmp_path / "whole")
    out = tmp_path / "index"
    GalleryIndex.build(bundle, images.subset(range(9)), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        GalleryIndex.build(Counting(bundle, 4), images, out)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()} == before
    assert len(GalleryIndex.load(out)) == 9
    damaged = out / ".unfinished" / "pieces" / "part-00002.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    capsys.readouterr()
    model = Counting(bundle)
    GalleryIndex.build(model, images, out)
    assert model.images == 7 + 7 + 5
    said = capsys.readouterr().err
    assert "Indexing 40 images of 40 identities with" in said
    assert "Resuming: 21 of 40 images are embedded already." in said
    assert np.array_equal(GalleryIndex.load(out).embeddings, whole.embeddings)
    assert sorted(path.name for path in out.iterdir()) == sorted(before)


def test_pieces_of_other_data_are_not_mixed_in(
    bundle: GalleryBundle, images: ImageSet, tmp_path: Path, small_batches: None
) -> None:
    out = tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        GalleryIndex.build(Counting(bundle, 1), images, out)
    fewer = images.subset(range(30))
    with pytest.raises(UserError, match="unfinished gallery index of other settings") as refusal:
        GalleryIndex.build(bundle, fewer, out)
    assert f"data was {json.dumps(images.fingerprint)}" in refusal.value.what
    shutil.rmtree(out / ".unfinished")  # as the message says
    assert f"delete {out / '.unfinished'}" in refusal.value.way_out
    assert len(GalleryIndex.build(bundle, fewer, out)) == 30


def test_nothing_is_kept_of_a_model_that_is_not_finite(
    bundle: GalleryBundle, images: ImageSet, tmp_path: Path, small_batches: None
) -> None:
    class Broken(Counting):
        def embed(self, images: NDArray[Any]) -> NDArray[Any]:
            return super().embed(images) * (np.nan if self.batches == 2 else 1)

    with pytest.raises(UserError, match="contain NaN or infinite"):
        GalleryIndex.build(Broken(bundle), images, tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_two_builds_do_not_write_one_index(
    bundle: GalleryBundle, images: ImageSet, tmp_path: Path
) -> None:
    with (
        folder_lock(tmp_path / "index" / ".unfinished", "test"),
        pytest.raises(UserError, match=r"Another process .* is writing to .*/index\."),
    ):
        GalleryIndex.build(bundle, images, tmp_path / "index")


def test_a_collapsed_model_is_told(
    bundle: GalleryBundle, images: ImageSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Constant(Counting):
        def embed(self, images: NDArray[Any]) -> NDArray[Any]:
            return np.full((len(images), 4), 0.5, np.float32)

    GalleryIndex.build(Constant(bundle), images, tmp_path / "index")
    assert "embeds different images almost alike" in capsys.readouterr().err
    GalleryIndex.build(bundle, images, tmp_path / "other")


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
