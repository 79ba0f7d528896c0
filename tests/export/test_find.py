"""Photos in, matches out: the same by every form of the network, and what an app would show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecmp import api, kit
from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.export import export
from edgecmp.gallery.index import GalleryIndex
from tests.fixtures.identity_folders import write_identities

CHOSEN = (5, 300, 2000)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three drawings that no network was trained on, at another size and as different files."""
    folder = tmp_path_factory.mktemp("photos")
    queries = load_dataset("emoji").retrieval("test").queries
    files = []
    for number, suffix in zip(CHOSEN, (".png", ".jpg", ".webp"), strict=True):
        image = queries.source.image(int(queries.rows[number])).convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        files.append(folder / f"{number}{suffix}")
        Image.alpha_composite(ground, image).convert("RGB").resize((200, 160)).save(files[-1])
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The kit's network as the files that a phone runs."""
    folder = tmp_path_factory.mktemp("files")
    return {
        "tflite": export("tflite", out=folder).path,
        "tflite image": export("tflite", input="image", out=folder / "image.tflite").path,
        "onnx": export("onnx", out=folder).path,
    }


def test_every_form_of_the_network_finds_what_plain_products_find(
    photos: list[Path], files: dict[str, Path]
) -> None:
    network = QueryBundle.load(kit.path("query"))
    pixels = np.stack([network.preprocessing.fit(Image.open(photo)) for photo in photos])
    index = GalleryIndex.load(kit.path("index"))
    products = network.embed(pixels) @ index.embeddings.T
    best = np.argsort(-products, axis=1)[:, :5]
    expected = [index.keys[place] for place in best.flat]
    runtimes = set()
    for model in (None, kit.path("query"), *files.values()):
        report = api.find(photos, model=model)
        assert [row["image"] for row in report.rows] == expected
        scores = [row["score"] for row in report.rows]
        np.testing.assert_allclose(scores, np.take_along_axis(products, best, 1).flat, atol=1e-5)
        assert [row["rank"] for row in report.rows] == [1, 2, 3, 4, 5] * 3
        runtimes.add(report.runtime.split()[0])
    assert runtimes == {"PyTorch", "litert", "onnxruntime"}


def test_the_command_prints_and_draws_them(
    photos: list[Path], files: dict[str, Path], tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    picture, written = tmp_path / "found.png", tmp_path / "found.json"
    words = ("--model", files["tflite"], "--top", 2, "--picture", picture, "--json", written)
    result = edgecmp("find", *photos, *words)
    assert result.code == 0
    document = json.loads(written.read_text())
    assert len(document["rows"]) == 6
    assert all(row["image"] in result.out for row in document["rows"])
    assert f"Wrote the picture: {picture}" in result.out
    with Image.open(picture) as drawn:
        width, height = drawn.size
    assert width > 300
    assert height > width / 2  # three rows of three pictures


def test_paths_of_the_users_images(tmp_path: Path) -> None:
    data = write_identities(tmp_path / "photos", {"train": 2, "validation": 2, "test": 6})
    index = api.build_index(out=tmp_path / "index", data=str(data))
    gallery = load_dataset(str(data)).retrieval("test").gallery
    photo = gallery.source.file(int(gallery.rows[2]))
    assert photo is not None
    report = api.find([photo], model=kit.path("query"), index=tmp_path / "index", top=6)
    by_image = {row["image"]: row for row in report.rows}
    assert set(by_image) == set(index.keys)
    for row in by_image.values():
        assert Path(row["path"]).samefile(data / row["image"])
    moved = (tmp_path / "photos").rename(tmp_path / "moved")
    photo = moved / photo.relative_to(data)
    lost = api.find([photo], index=tmp_path / "index", top=6)
    assert [row["image"] for row in lost.rows] == [row["image"] for row in report.rows]
    assert {row["path"] for row in lost.rows} == {None}
    with pytest.raises(UserError, match=r"gallery's images cannot be read from .*--data"):
        api.find([photo], index=tmp_path / "index", picture=tmp_path / "found.png")
    again = api.find([photo], index=tmp_path / "index", data=str(moved), top=1)
    assert Path(again.rows[0]["path"]).is_file()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"photos": []}, "no photo to search for"),
        ({"top": 0}, r"--top must be at least 1 \(got 0\)"),
        ({"picture": "found.jpg"}, r"--picture must be a \.png file"),
        ({"photos": ["nowhere.jpg"]}, r"nowhere\.jpg cannot be read as an image: no such file"),
        ({"photos": [__file__]}, "cannot be read as an image: not an image"),
        ({"model": "nowhere.tflite"}, r"nowhere\.tflite does not exist"),
        ({"data": "emojy"}, "Did you mean emoji"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], says: str, photos: list[Path]) -> None:
    with pytest.raises(UserError, match=says):
        api.find(**{"photos": photos, **options})


def test_a_network_of_another_gallery_is_refused(
    photos: list[Path], files: dict[str, Path], tmp_path: Path
) -> None:
    index = GalleryIndex.load(kit.path("index"))
    other = index.manifest.model_copy(update={"gallery_sha256": "0" * 64})
    GalleryIndex(
        embeddings=index.embeddings,
        identities=index.identities,
        identity_names=index.identity_names,
        keys=index.keys,
        manifest=other,
    ).save(tmp_path)
    with pytest.raises(UserError, match="trained for another gallery model"):
        api.find(photos, model=files["onnx"], index=tmp_path)
