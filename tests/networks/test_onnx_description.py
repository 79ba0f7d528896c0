"""Descriptions of ONNX files: what they say is what the network reads, by numpy alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgecmp.errors import UserError
from edgecmp.gallery.open import open_described
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.small_onnx import HALF, linear_model, weights, write_described

HIGH, WIDE = 10, 14


@pytest.fixture
def photo() -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 61, 3), np.uint8)
    return Image.fromarray(pixels)


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def by_numpy(pixels: NDArray[Any], mean: Any, std: Any) -> NDArray[Any]:
    """The embedding (1, D) of one image (H, W, 3) whose channels have the network's order."""
    planes = ((pixels / 255 - np.array(mean)) / np.array(std)).transpose(2, 0, 1)
    return unit(planes.reshape(1, -1) @ weights(*pixels.shape[:2]).astype(np.float64))


def test_a_model_prepared_as_clip_prepares(tmp_path: Path, photo: Image.Image) -> None:
    """Resize(12, BICUBIC), CenterCrop(10), ToTensor and Normalize of CLIP's own figures."""
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    model = open_described(
        write_described(
            tmp_path,
            linear_model(HIGH, HIGH),
            f'mean = {mean}\nstd = {std}\nfit = "crop"\nresize = 12\nfilter = "bicubic"\n',
        )
    )
    resized = photo.resize((int(12 * 61 / 40), 12), Image.Resampling.BICUBIC)  # (18, 12)
    cropped = np.asarray(resized)[1:11, 4:14]
    found = model.embed(model.preprocessing.fit(photo)[None])
    np.testing.assert_allclose(found, by_numpy(cropped, mean, std), atol=1e-5)


def test_an_image_that_is_not_square_and_stretched(tmp_path: Path, photo: Image.Image) -> None:
    model = open_described(
        write_described(tmp_path, linear_model(HIGH, WIDE), f'{HALF}fit = "stretch"\n')
    )
    assert model.preprocessing.shape == (HIGH, WIDE, 3)
    stretched = np.asarray(photo.resize((WIDE, HIGH), Image.Resampling.BILINEAR))
    found = model.embed(model.preprocessing.fit(photo)[None])
    np.testing.assert_allclose(found, by_numpy(stretched, [0.5] * 3, [0.5] * 3), atol=1e-5)


def test_bgr_is_the_model_with_its_first_weights_flipped(
    tmp_path: Path, photo: Image.Image
) -> None:
    """A network that reads BGR, and the same one whose first layer was turned to RGB."""
    matrix = weights(HIGH, HIGH)
    turned = matrix.reshape(3, HIGH * HIGH, -1)[::-1].reshape(matrix.shape)
    lines = "mean = [{0}]\nstd = [{1}]\n"
    bgr, rgb = tmp_path / "bgr", tmp_path / "rgb"
    for folder in (bgr, rgb):
        folder.mkdir()
    write_described(
        bgr,
        linear_model(HIGH, HIGH, matrix=matrix),
        lines.format("0.4, 0.45, 0.5", "0.2, 0.25, 0.3") + 'channels = "BGR"\n',
    )
    write_described(
        rgb,
        linear_model(HIGH, HIGH, matrix=np.ascontiguousarray(turned)),
        lines.format("0.5, 0.45, 0.4", "0.3, 0.25, 0.2"),
    )
    one, other = (open_described(folder / "net.toml") for folder in (bgr, rgb))
    pixels = other.preprocessing.fit(photo)[None]
    np.testing.assert_array_equal(one.preprocessing.fit(photo)[None], pixels)
    np.testing.assert_allclose(one.embed(pixels), other.embed(pixels), atol=1e-6)
    expected = by_numpy(pixels[0, ..., ::-1], [0.4, 0.45, 0.5], [0.2, 0.25, 0.3])
    np.testing.assert_allclose(one.embed(pixels), expected, atol=1e-5)


def test_bgr_pixels_of_a_network_that_reads_bytes(tmp_path: Path, photo: Image.Image) -> None:
    model = linear_model(HIGH, HIGH)
    model.graph.input[0].name = "bytes"
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    nodes = [helper.make_node("Cast", ["bytes"], ["image"], to=TensorProto.FLOAT)]
    nodes += list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    opened = open_described(write_described(tmp_path, model, 'channels = "BGR"\n'))
    pixels = opened.preprocessing.fit(photo)
    expected = by_numpy(pixels[..., ::-1], [0.0] * 3, [1 / 255] * 3)
    np.testing.assert_allclose(opened.embed(pixels[None]), expected, atol=1e-5)


def free(*axes: int | str) -> Any:
    """The linear network with other axes in its declared input."""
    model = linear_model(HIGH, WIDE)
    shape = helper.make_tensor_value_info("image", TensorProto.FLOAT, list(axes)).type
    model.graph.input[0].type.CopyFrom(shape)
    return model


def test_a_size_that_the_file_leaves_free(tmp_path: Path) -> None:
    model = free("n", 3, "high", "wide")
    with pytest.raises(UserError, match=r"input_size = \[112, 96\]"):
        open_described(write_described(tmp_path, model))
    with pytest.raises(UserError, match="does not fix the size"):
        open_described(write_described(tmp_path, free("n", 3, HIGH, "wide")))
    for given in (model, free("n", 3, HIGH, "wide"), free("n", "three", HIGH, WIDE)):
        lines = f'{HALF}input_size = [{HIGH}, {WIDE}]\nlayout = "NCHW"\n'
        opened = open_described(write_described(tmp_path, given, lines))
        assert opened.preprocessing == Preprocessing(input_size=HIGH, width=WIDE)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (f"{HALF}input_size = 12\n", r"input_size of 12, but .* images of \[10, 14\] pixels"),
        (f"{HALF}input_size = [10, 12]\n", r"input_size of \[10, 12\]"),
        (f"{HALF}input_size = []\n", "input_size: it is neither"),
        (f"{HALF}input_size = true\n", "input_size: it is neither"),
        (f"{HALF}input_size = 10.0\n", "input_size: it is neither"),
        (f'{HALF}channels = "GBR"\n', "channels: input should be 'RGB' or 'BGR'"),
        (f'{HALF}fit = "zoom"\n', "fit: input should be 'pad', 'crop' or 'stretch'"),
        (f'{HALF}filter = "lanczos"\n', "filter: input should be 'bilinear' or 'bicubic'"),
        (f"{HALF}resize = 16\n", r"net\.toml cannot be used: A short side of 16 pixels has no"),
        (f'{HALF}fit = "crop"\nresize = 12\n', "resized to 12 pixels cannot be cropped to 10 x 14"),
        (f'{HALF}fit = "crop"\nresize = 16.5\n', "resize: "),
        (f'{HALF}fit = "crop"\nresize = {10**18}\n', "cannot be cropped"),
        ("mean = [127.5, 127.5, 127.5]\nstd = [128, 128, 128]\n", r"write mean = \[0\.5, 0\.5,"),
        ("mean = [nan, 0, 0]\nstd = [1, 1, 1]\n", r"mean\.0: "),
        ("mean = [0, 0, 0]\nstd = [inf, 1, 1]\n", r"std\.0: "),
        ("mean = [0, 0, true]\nstd = [1, 1, 1]\n", r"mean\.2: "),
        ("mean = [-0.5, 0, 0]\nstd = [1, 1, 1]\n", "outside their range"),
        (f"{HALF}background = [0, 0, 300]\n", r"background \(0, 0, 300\)"),
        (f"{HALF}background = [0, 0, 0.5]\n", r"background\.2: "),
        (f'{HALF}onnx2 = "a"\n', r"Unknown key 'onnx2' in .*Did you mean onnx"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, lines: str, says: str) -> None:
    source = write_described(tmp_path, linear_model(HIGH, WIDE), lines)
    with pytest.raises(UserError, match=says) as raised:
        open_described(source)
    assert "net.toml" in str(raised.value)


def test_a_size_beyond_any_image_is_refused(tmp_path: Path) -> None:
    model = free("n", 3, 2**31, 2**31)
    with pytest.raises(UserError, match=r"net\.onnx"):
        open_described(write_described(tmp_path, model))
    lines = f"{HALF}input_size = {2**62}\n"
    with pytest.raises(UserError, match="input size of 4611686018427387904"):
        open_described(write_described(tmp_path, free("n", 3, "h", "w"), lines))


@pytest.mark.parametrize("name", ["a\\u0000b.onnx", "n" * 300 + ".onnx", "", ".", "gone/net.onnx"])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "net.toml").write_text(f'onnx = "{name}"\n{HALF}')
    with pytest.raises(UserError, match="an ONNX file"):
        open_described(tmp_path / "net.toml")


def test_galleries_that_name_each_other_end(tmp_path: Path) -> None:
    write_described(tmp_path, linear_model(HIGH, WIDE))
    for name, other in (("one", "two"), ("two", "one")):
        text = f'onnx = "net.onnx"\n{HALF}gallery = "{other}.toml"\n'
        (tmp_path / f"{name}.toml").write_text(text)
    with pytest.raises(UserError, match=r"two\.toml names a gallery too"):
        open_described(tmp_path / "one.toml")
    (tmp_path / "net.toml").write_text(f'onnx = "net.onnx"\n{HALF}gallery = "net.onnx"\n')
    with pytest.raises(UserError, match=r"net\.toml names itself"):
        open_described(tmp_path / "net.toml")
    (tmp_path / "net.toml").write_text(f'onnx = "net.onnx"\n{HALF}gallery = "a\\u0000b"\n')
    with pytest.raises(UserError, match=re.escape("neither a SHA-256 nor an existing path")):
        open_described(tmp_path / "net.toml")


def test_a_network_of_one_gray_channel_is_named(tmp_path: Path) -> None:
    model = free("n", 1, HIGH, WIDE)
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(weights(HIGH, WIDE)[: HIGH * WIDE], "matrix")
    )
    with pytest.raises(UserError, match="which in NCHW is not an RGB image"):
        open_described(write_described(tmp_path, model, f'{HALF}layout = "NCHW"\n'))
