"""Faces of any size are aligned and embedded block by block, and interrupted runs resume."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgecmp.data.ijbc import AlignedFaces, Ijbc, read_ijbc
from edgecmp.errors import UserError
from edgecmp.evaluation import ijbc_embed as embed
from edgecmp.evaluation.ijbc_embed import embed_faces
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.orl import POINTS, photograph, write_ijbc


class Pixels:
    """An `Embedder` that returns the pixels of a small image, scaled to unit length."""

    name = "pixels"
    gallery_sha256: str | None = None
    external = True

    def __init__(self, side: int, *, fails_after: int | None = None) -> None:
        self.preprocessing = Preprocessing(input_size=side)
        self.sha256 = hashlib.sha256(b"pixels").hexdigest()
        self.embedding_dim = side * side * 3
        self.embedded = 0
        self._fails_after = fails_after

    def embed(self, images: NDArray[Any]) -> NDArray[Any]:
        self.embedded += len(images)
        if self._fails_after is not None and self.embedded > self._fails_after:
            raise KeyboardInterrupt
        values = images.reshape(len(images), -1).astype(np.float32) / 255 - 0.4
        scaled: NDArray[Any] = values / np.linalg.norm(values, axis=1, keepdims=True)
        return scaled


@pytest.fixture
def orl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ijbc:
    monkeypatch.setattr(embed, "_FACES_AT_ONCE", 150)
    write_ijbc(tmp_path / "IJBC")
    return read_ijbc(tmp_path / "IJBC")


def test_a_face_is_aligned_alike_if_rotated_or_enlarged(orl: Ijbc) -> None:
    points = np.array(POINTS, np.float64)
    upright = photograph(3, 1)
    rotated = Image.fromarray(np.rot90(np.asarray(upright)))  # x, y -> y, 91 - x
    large = upright.resize((230, 280), Image.Resampling.BICUBIC)
    versions = {
        "1.jpg": (upright, points),
        "2.jpg": (rotated, np.stack([points[:, 1], 91 - points[:, 0]], 1)),
        "3.jpg": (large, points * 2.5 + 0.75),
    }
    for place, (name, (image, moved)) in enumerate(versions.items()):
        image.save(orl.images / name, quality=100)
        orl.faces.points[place] = moved
    first, *others = (np.asarray(face, np.float64) for face in AlignedFaces(orl).read(range(3)))
    assert first.std() > 30
    for other in others:
        assert np.abs(first - other).mean() < 2
    orl.faces.points[1] = points  # as if it had not been rotated
    assert np.abs(first - np.asarray(AlignedFaces(orl).read([1])[0])).mean() > 20


def test_blocks_and_models_do_not_change_the_result(orl: Ijbc) -> None:
    faces = AlignedFaces(orl)
    small, large = Pixels(6), Pixels(9)
    found = embed_faces(faces, [small, large], flip=False)
    aligned = faces.read(range(400))
    for model, features in zip((small, large), found, strict=True):
        whole = np.stack([model.preprocessing.fit(face) for face in aligned])
        assert np.array_equal(features, model.embed(whole))
    (flipped,) = embed_faces(faces, [small])
    images = np.stack([np.asarray(face.resize((6, 6), 2)) for face in aligned])
    mirrored = np.stack([[row[::-1] for row in image] for image in images])
    np.testing.assert_allclose(flipped, small.embed(images) + small.embed(mirrored), atol=1e-6)


def test_an_interrupted_run_resumes(orl: Ijbc, tmp_path: Path) -> None:
    faces, cache = AlignedFaces(orl), tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        embed_faces(faces, [Pixels(6, fails_after=350)], flip=False, cache=cache)
    assert len(list(cache.iterdir())) == 2
    rest = Pixels(6)
    (found,) = embed_faces(faces, [rest], flip=False, cache=cache)
    assert rest.embedded == 100
    (expected,) = embed_faces(faces, [Pixels(6)], flip=False)
    assert np.array_equal(found, expected)
    for changed in (Pixels(7), Pixels(6)):
        embed_faces(faces, [changed], flip=changed.embedding_dim == 108, cache=cache)
        assert changed.embedded >= 400  # another preparation, or with the mirrored faces
    path = orl.images / "200.jpg"
    os.utime(path, (1, 1))
    again = Pixels(6)
    embed_faces(faces, [again], flip=False, cache=cache)
    assert again.embedded == 150  # the block with the image that was touched


def test_a_damaged_image_is_named(orl: Ijbc) -> None:
    path = orl.images / "5.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"5\.jpg cannot be read as an image"):
        AlignedFaces(orl).read([4])
    path.unlink()
    with pytest.raises(UserError, match=r"5\.jpg cannot be read as an image"):
        AlignedFaces(orl).fingerprint([4])


@pytest.mark.parametrize("change", ["flip", "cut"])
def test_a_damaged_block_is_computed_again(orl: Ijbc, tmp_path: Path, change: str) -> None:
    faces, cache = AlignedFaces(orl), tmp_path / "cache"
    (expected,) = embed_faces(faces, [Pixels(6)], flip=False, cache=cache)
    file = min(cache.iterdir())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content if change == "flip" else content[:-9])
    model = Pixels(6)
    (found,) = embed_faces(faces, [model], flip=False, cache=cache)
    assert 100 <= model.embedded <= 150  # that block alone
    assert np.array_equal(found, expected)
    again = Pixels(6)
    embed_faces(faces, [again], flip=False, cache=cache)
    assert again.embedded == 0
