"""Encoders of well-known families as galleries, each with its description.

The expected embeddings come from ONNX Runtime, called directly on pixels that were prepared by
Pillow and numpy as the family's own code prepares them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgecmp.errors import UserError
from edgecmp.gallery.open import open_described, open_gallery
from tests.fixtures.small_encoders import WIDTH, write_cnn, write_vit

BICUBIC = Image.Resampling.BICUBIC


@dataclass(frozen=True)
class Family:
    """A family of encoders.

    Attributes:
        write: writes the network.
        lines: of the description, without `onnx`.
        prepare: a photo as the family's own code resizes and crops it.
        mean: subtracted from pixels in 0..1.
        std: that divides them then.
        output: name of the output.
        row: of the output, if that has one per token; "mean" for the mean of all.
    """

    write: Callable[[Path], None]
    lines: str
    prepare: Callable[[Image.Image], Image.Image]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    output: str
    row: int | str | None = None


def resized_and_cropped(resize: int, size: int) -> Callable[[Image.Image], Image.Image]:
    """torchvision's `Resize(resize, BICUBIC)` and `CenterCrop(size)`."""

    def prepare(photo: Image.Image) -> Image.Image:
        width, height = photo.size
        if width < height:
            photo = photo.resize((resize, int(resize * height / width)), BICUBIC)
        else:
            photo = photo.resize((int(resize * width / height), resize), BICUBIC)
        left, top = round((photo.width - size) / 2), round((photo.height - size) / 2)
        return photo.crop((left, top, left + size, top + size))

    return prepare


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALVES = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def normalised(by: tuple[Any, Any], rest: str) -> str:
    return f"mean = {list(by[0])}\nstd = {list(by[1])}\n{rest}"


CLIP = normalised(OPENAI, 'fit = "crop"\nfilter = "bicubic"\noutput = "image_embeds"\n')
DINO = normalised(IMAGENET, 'fit = "crop"\nfilter = "bicubic"\ninput_size = 518\n')
FAMILIES = {
    "CLIP, half precision, two outputs": Family(
        lambda path: write_vit(
            path,
            224,
            32,
            {"last_hidden_state": "tokens", "image_embeds": "projected"},
            half=True,
        ),
        CLIP,
        resized_and_cropped(224, 224),
        *OPENAI,
        output="image_embeds",
    ),
    "DINOv2, free size, class token": Family(
        lambda path: write_vit(
            path,
            518,
            14,
            {"last_hidden_state": "tokens", "pooler_output": "class"},
            axes=("batch", "height", "width"),
        ),
        f'{DINO}output = "last_hidden_state"\ntoken = 0\n',
        resized_and_cropped(518, 518),
        *IMAGENET,
        output="last_hidden_state",
        row=0,
    ),
    "DINOv2 at 224 px, mean of all tokens": Family(
        lambda path: write_vit(path, 224, 14, {"last_hidden_state": "tokens"}),
        normalised(IMAGENET, 'fit = "crop"\nresize = 256\nfilter = "bicubic"\ntoken = "mean"\n'),
        resized_and_cropped(256, 224),
        *IMAGENET,
        output="last_hidden_state",
        row="mean",
    ),
    "SigLIP, stretched": Family(
        lambda path: write_vit(
            path, 384, 32, {"last_hidden_state": "tokens", "pooler_output": "class"}
        ),
        normalised(HALVES, 'fit = "stretch"\nfilter = "bicubic"\noutput = "pooler_output"\n'),
        lambda photo: photo.resize((384, 384), BICUBIC),
        *HALVES,
        output="pooler_output",
    ),
    "timm, any batch": Family(
        lambda path: write_cnn(path, 224),
        normalised(IMAGENET, 'fit = "crop"\nresize = 256\nfilter = "bicubic"\n'),
        resized_and_cropped(256, 224),
        *IMAGENET,
        output="output",
    ),
    "timm, batches of four": Family(
        lambda path: write_cnn(path, 224, batch=4),
        normalised(IMAGENET, 'fit = "crop"\nresize = 248\nfilter = "bicubic"\n'),
        resized_and_cropped(248, 224),
        *IMAGENET,
        output="output",
    ),
}


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Photos of other sizes and shapes than the networks read."""
    random = np.random.default_rng(0)
    return [
        Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).resize(size, BICUBIC)
        for size in ((640, 480), (300, 500), (90, 120), (518, 518), (700, 260))
    ]


def directly(family: Family, path: Path, photos: list[Image.Image]) -> NDArray[np.float64]:
    """Embeddings of unit length by ONNX Runtime alone."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    kind = np.float16 if "float16" in session.get_inputs()[0].type else np.float32
    pixels = np.stack([np.asarray(family.prepare(photo)) for photo in photos])
    scaled = (pixels / 255 - np.array(family.mean)) / np.array(family.std)
    planes = scaled.transpose(0, 3, 1, 2).astype(kind)
    count = session.get_inputs()[0].shape[0]
    if isinstance(count, int):
        planes = np.concatenate([planes, planes])[: -(-len(photos) // count) * count]
    parts = np.split(planes, len(planes) // count) if isinstance(count, int) else [planes]
    found = np.concatenate(
        [session.run([family.output], {"pixel_values": part})[0] for part in parts]
    )[: len(photos)].astype(np.float64)
    if family.row is not None:
        found = found.mean(1) if family.row == "mean" else found[:, family.row]
    assert not np.allclose(np.linalg.norm(found, axis=1), 1, atol=0.1)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_its_embeddings_are_those_of_onnx_runtime_on_pixels_prepared_by_pillow(
    family: Family, photos: list[Image.Image], tmp_path: Path
) -> None:
    family.write(tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(f'onnx = "net.onnx"\n{family.lines}')
    model = open_gallery(tmp_path / "net.toml")
    assert model.embedding_dim == WIDTH
    found = model.embed(np.stack([model.preprocessing.fit(photo) for photo in photos]))
    expected = directly(family, tmp_path / "net.onnx", photos)
    half = "half" in next(name for name, one in FAMILIES.items() if one is family)
    np.testing.assert_allclose(found, expected, atol=3e-3 if half else 2e-5)
    spread = np.linalg.norm(expected - expected.mean(0), axis=1)
    assert spread.min() > 0.02  # the photos are told apart


def test_the_documented_descriptions_are_those_that_are_tested() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "onnx-gallery.md"
    section = page.read_text().split("### Descriptions of well-known encoders")[1].split("\n## ")[0]
    documented = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", section, re.S)]
    tested = [tomllib.loads(family.lines) for family in FAMILIES.values()]
    assert len(documented) == 4
    for description in documented:
        assert description.pop("onnx").endswith(".onnx")
        assert description in tested


def described(folder: Path, lines: str, outputs: dict[str, str]) -> Path:
    write_vit(folder / "net.onnx", 28, 14, outputs)
    (folder / "net.toml").write_text(f'onnx = "net.onnx"\n{normalised(HALVES, lines)}')
    return folder / "net.toml"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", r"one row per token instead of one embedding.*token = 0 .*token = \"mean\""),
        ("token = 5\n", r"has 5 rows per image, and no row 5\. Write a token from 0 to 4"),
        ("token = -1\n", "no row -1"),
        ('token = "first"\n', "token"),
        ("token = true\n", "token"),
    ],
)
def test_a_wrong_token_is_named(tmp_path: Path, lines: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        open_described(described(tmp_path, lines, {"tokens": "tokens"}))


def test_a_token_of_an_output_without_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"without rows per token.*Remove token"):
        open_described(described(tmp_path, "token = 0\n", {"embedding": "class"}))


def test_two_outputs_or_tokens_of_one_file_are_two_galleries(tmp_path: Path) -> None:
    """A query network that is trained for one of them does not fit the other."""
    outputs = {"tokens": "tokens", "first": "class", "projected": "projected"}
    lines = [
        'output = "tokens"\ntoken = 0\n',
        'output = "tokens"\ntoken = 1\n',
        'output = "first"\n',
        'output = "projected"\n',
    ]
    hashes = [open_described(described(tmp_path, one, outputs)).sha256 for one in lines]
    assert len(set(hashes)) == 4
    assert open_described(described(tmp_path, lines[0], outputs)).sha256 == hashes[0]


def test_the_description_to_write_names_the_likely_output_and_its_rows(tmp_path: Path) -> None:
    described(tmp_path, "", {"tokens": "tokens", "image_embeds": "projected", "last": "class"})
    (tmp_path / "net.toml").unlink()
    with pytest.raises(UserError) as raised:
        open_gallery(tmp_path / "net.onnx")
    assert 'output = "image_embeds"  # check: one of tokens, image_embeds, last' in str(
        raised.value
    )
    described(tmp_path, "", {"tokens": "tokens"})
    (tmp_path / "net.toml").unlink()
    with pytest.raises(UserError, match="token = 0  # check: the row"):
        open_gallery(tmp_path / "net.onnx")
