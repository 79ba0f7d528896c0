"""`edgecmp init`: what it finds in small folders, and that every file it writes is read back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import edgecmp as package
from edgecmp import kit
from edgecmp.data import DATASETS, load_dataset
from edgecmp.errors import UserError
from edgecmp.gallery.open import open_gallery
from edgecmp.initialising import findings
from edgecmp.initialising.init import InitReport
from edgecmp.training.job import EXAMPLE
from edgecmp.training.query import QueryRecipe
from edgecmp.training.recipes.choice import RecipeChoice, resolve
from edgecmp.training.recipes.photos import photos_query
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.small_onnx import linear_model

SPLITS = {"train": 3, "validation": 2, "test": 3}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_identities(tmp_path / "photos", SPLITS)


def found(report: InitReport) -> dict[str, str]:
    return {row["what"]: row["found"] for row in report.rows}


def test_what_it_writes_is_what_commands_read(photos: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "models" / "gallery.onnx"
    gallery.parent.mkdir()
    onnx.save(linear_model(32, 32), gallery)
    out = tmp_path / "deep" / "out"
    report = package.init(photos, gallery=gallery, out=out)
    assert set(report.written().values()) == set(out.iterdir())
    one, other = load_dataset(out / "data.toml"), load_dataset(photos)
    for split in SPLITS:
        assert getattr(one, split).fingerprint == getattr(other, split).fingerprint
    assert one.gallery_domain == other.gallery_domain
    assert open_gallery(out / "gallery.toml").embedding_dim == 8
    choice = RecipeChoice.of(out / "recipe.toml", data=out / "data.toml")
    assert resolve(QueryRecipe, choice, EXAMPLE) == photos_query(EXAMPLE)


def test_commented_lines_are_valid_when_they_are_uncommented(photos: Path, tmp_path: Path) -> None:
    report = package.init(photos, out=tmp_path / "out")
    for path in (report.data, report.recipe):
        lines = path.read_text().splitlines()
        start = next(place for place, line in enumerate(lines) if " = " in line and line[0] != "#")
        settings = [line.removeprefix("# ") for line in lines[start:]]
        path.write_text("\n".join(line for line in settings if "=" in line or line[:1] == "["))
    shutil.rmtree(photos / "test")  # shares are for data that does not assign splits
    for split in ("train", "validation"):
        for identity in (photos / split).iterdir():
            identity.rename(photos / identity.name)
        (photos / split).rmdir()
    assert len(load_dataset(report.data).train)
    recipe = resolve(QueryRecipe, RecipeChoice.of(report.recipe, data=report.data), EXAMPLE)
    assert recipe.input_size == 96
    assert recipe.schedule.epochs == 20


def test_it_finds_what_a_user_should_know(photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "train/train-0/0.png", photos / "train/train-1/9.png")
    image = Image.open(photos / "test/test-0/0.png")  # the gallery image of its identity
    image.save(photos / "test/test-1/8.jpg", quality=90, subsampling=0)
    for name in ("1", "2", "3"):
        (photos / f"validation/validation-1/{name}.png").unlink()
    Image.fromarray(np.zeros((20, 50, 3), np.uint8)).save(photos / "train/train-2/wide.png")
    lines = found(package.init(photos, out=tmp_path / "out"))
    assert lines["images"] == "32 images, of 8 identities"
    assert lines["training"] == "14 images of 3 identities"
    assert lines["endings"] == "31 .png, 1 .jpg"
    assert lines["shorter side"] == "20 to 32 pixels, median 32"
    assert lines["domains"] == "none"
    assert lines["identities with one image"] == "1, such as validation-1"
    assert lines["exact copies of an earlier image"] == "1, such as train/train-1/9.png"
    assert lines["... of an image of another identity"] == "1, such as train/train-1/9.png"
    assert lines["near copies of a query in the gallery"] == "1, such as test/test-1/8.jpg"
    assert lines["... of a gallery image of another identity"] == "1, such as test/test-1/8.jpg"
    written = (tmp_path / "out" / "data.toml").read_text()
    assert all(f"#   {what}: {text}\n" in written for what, text in lines.items())


def test_domains_are_named_for_the_gallery(photos: Path, tmp_path: Path) -> None:
    rows = [
        f"{file.relative_to(tmp_path)},{file.parent.name},{'shop' if file.stem < '2' else 'user'}"
        for file in sorted(photos.rglob("*.png"))
        if file.parent.name != "test-0" or file.stem < "2"
    ]
    table = tmp_path / "photos.csv"
    table.write_text("\n".join(["path,identity,domain", *rows]))
    report = package.init(table, out=tmp_path / "out")
    assert found(report)["domains"] == "16 shop, 14 user"
    assert found(report)["identities in one domain only"] == "1, such as test-0"
    line = '# gallery_domain = "shop"  # one of "shop", "user"'
    assert line in report.data.read_text()


def test_unreadable_images_are_skipped_by_the_description(photos: Path, tmp_path: Path) -> None:
    (photos / "train" / "train-0" / "bad.jpg").write_bytes(b"no image")
    report = package.init(photos, out=tmp_path / "out")
    assert 'on_bad_image = "skip"' in report.data.read_text().splitlines()
    assert "#   unreadable: 1 of 33 images" in report.data.read_text()
    assert len(load_dataset(report.data).train) == 12


def test_a_description_keeps_its_keys(photos: Path, tmp_path: Path) -> None:
    described = tmp_path / "mine.toml"
    described.write_text('path = "photos"\non_bad_image = "skip"\nmax_megapixels = 7.5\n')
    text = package.init(described, out=tmp_path / "out").data.read_text().splitlines()
    assert 'path = "../photos"' in text
    assert 'on_bad_image = "skip"' in text
    assert "max_megapixels = 7.5" in text


def test_of_large_data_a_sample_is_looked_at(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "LOOKED_AT", 16)
    report = package.init(photos, out=tmp_path / "out")
    assert found(report)["images"] == "32 images, of which 16 were looked at, of 8 identities"


def test_files_are_not_replaced_unless_forced(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "recipe.toml").write_text('base = "face"')
    with pytest.raises(UserError, match=r"already contains recipe\.toml\. .* --force"):
        package.init(photos, out=out)
    assert [file.name for file in out.iterdir()] == ["recipe.toml"]
    package.init(photos, out=out, force=True)
    assert 'base = "photos"' in (out / "recipe.toml").read_text()


@pytest.mark.parametrize("name", ["https://example.org/photos.zip", "s3://bucket/photos"])
def test_an_address_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is an address, and edgecmp reads local files only"):
        package.init(name, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_needs_no_description_or_is_no_gallery_is_refused(
    photos: Path, tmp_path: Path
) -> None:
    for name in DATASETS:
        with pytest.raises(UserError, match="needs no description"):
            package.init(name, out=tmp_path / "out")
    with pytest.raises(UserError, match="does not exist"):
        package.init(photos, gallery=tmp_path / "gallery.onnx", out=tmp_path / "out")
    with pytest.raises(UserError, match="is a query, not a gallery model"):
        package.init(photos, gallery=kit.path("query"), out=tmp_path / "out")
    with pytest.raises(UserError, match="Unknown dataset"):
        package.init(tmp_path / "nothing", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_with_odd_characters_is_written(tmp_path: Path) -> None:
    photos = write_identities(tmp_path / 'a "b\\c\n\x7f é', SPLITS)
    report = package.init(photos, out=tmp_path / "out")
    assert len(load_dataset(report.data).test) == 12


def test_the_command(photos: Path, tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    out = tmp_path / "out"
    result = edgecmp("init", photos, "--out", out, "--json", tmp_path / "init.json")
    assert result.code == 0, result.err
    assert f"edgecmp train gallery --data {out / 'data.toml'}" in result.out
    document = json.loads((tmp_path / "init.json").read_text())
    assert document["written"]["the recipe"] == str(out / "recipe.toml")
    again = edgecmp("init", photos, "--out", out)
    assert again.code == 2
    assert "--force" in again.err
