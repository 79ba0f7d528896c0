"""Networks that cannot embed a gallery are refused or reported when they are opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecmp.errors import UserError
from edgecmp.gallery.open import open_described
from edgecmp.networks.onnx_network import OnnxModel
from edgecmp.networks.onnx_probe import probe_images
from tests.fixtures.small_onnx import DIM, HALF, linear_model, weights, write_described

SIDE = 12


def opened(
    folder: Path,
    *last: onnx.NodeProto,
    constants: Mapping[str, object] | None = None,
    batch: int | str = "n",
    lines: str = HALF,
    scale: float = 1.0,
) -> OnnxModel:
    """The linear network followed by these nodes."""
    model = linear_model(SIDE, SIDE, last=last, batch=batch, matrix=scale * weights(SIDE, SIDE))
    for name, values in (constants or {}).items():
        array = np.asarray(values, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return open_described(write_described(folder, model, lines))


def node(kind: str, inputs: Sequence[str], output: str = "embedding") -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output])


CENTRED = (
    helper.make_node("ReduceMean", ["product"], ["centre"], axes=[0], keepdims=1),
    node("Sub", ["product", "centre"]),
)
"""As batch normalisation does in training mode: the mean over the batch is subtracted."""


def centred(batch: int | str) -> onnx.ModelProto:
    return linear_model(SIDE, SIDE, batch=batch, last=CENTRED, opset=17)


@pytest.mark.parametrize("batch", ["n", 2, 5])
def test_an_embedding_that_depends_on_its_batch_is_refused(
    tmp_path: Path, batch: int | str
) -> None:
    with pytest.raises(UserError, match=r"differently alone and in a batch.*model\.eval\(\)"):
        open_described(write_described(tmp_path, centred(batch)))


def test_batch_normalisation_in_training_mode_is_refused(tmp_path: Path) -> None:
    last = helper.make_node(
        "BatchNormalization",
        ["product", "ones", "zeros", "zeros", "ones"],
        ["embedding", "mean", "var"],
        training_mode=1,
    )
    constants: dict[str, object] = {"ones": np.ones(DIM), "zeros": np.zeros(DIM)}
    with pytest.raises(UserError, match="batch normalisation and dropout in training mode"):
        opened(tmp_path, last, constants=constants, batch=4)


def test_noise_as_of_dropout_is_refused(tmp_path: Path) -> None:
    noise = helper.make_node("RandomNormalLike", ["product"], ["noise"], scale=30.0)
    with pytest.raises(UserError, match="differently alone and in a batch"):
        opened(tmp_path, noise, node("Add", ["product", "noise"]))


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_a_constant_network_is_refused(tmp_path: Path, batch: int | str) -> None:
    zero = {"zero": 0.0, "one": np.ones(DIM)}
    nodes = [node("Mul", ["product", "zero"], "none"), node("Add", ["none", "one"])]
    with pytest.raises(UserError, match="returns the same embedding for every image"):
        opened(tmp_path, *nodes, constants=zero, batch=batch)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, batch: int | str) -> None:
    """A logarithm of negative numbers is NaN."""
    with pytest.raises(UserError, match="embedding of a test image is not finite"):
        opened(tmp_path, node("Log", ["product"]), batch=batch)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_almost_equal_embeddings_are_reported(
    tmp_path: Path, batch: int | str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a wrong mean does: a large constant part, in which the image's part is lost."""
    far = {"far": np.full(DIM, 3e3)}
    opened(tmp_path, node("Add", ["product", "far"]), constants=far, batch=batch)
    text = capsys.readouterr().err
    assert "net.toml embeds different images almost alike (median cosine 0.9999" in text
    assert "mean, std, channels" in text


@pytest.mark.parametrize("batch", ["n", 1, 2, 3, 7])
def test_a_sound_network_is_opened_without_a_word(
    tmp_path: Path, batch: int | str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = opened(tmp_path, batch=batch, scale=0.01)
    assert model.embedding_dim == DIM
    assert capsys.readouterr().err == ""
    images = np.random.default_rng(5).integers(0, 256, (11, SIDE, SIDE, 3), np.uint8)
    expected = ((images / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2).reshape(11, -1) @ weights(
        SIDE, SIDE
    )
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(model.embed(images), expected, atol=1e-5)


def test_a_network_that_quantises_each_batch_is_run_on_single_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `onnxruntime.quantization.quantize_dynamic` writes it; alone means alone in the result."""
    model = linear_model(
        SIDE,
        SIDE,
        last=[
            helper.make_node("DynamicQuantizeLinear", ["product"], ["q", "step", "zero"]),
            helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["embedding"]),
        ],
    )
    found = open_described(write_described(tmp_path, model))
    assert "quantises each batch" in capsys.readouterr().err
    images = probe_images(SIDE, SIDE)
    images[1] //= 16  # values of another range than its neighbours'
    alone = np.concatenate([found.embed(image[None]) for image in images])
    np.testing.assert_array_equal(found.embed(images), alone)


def test_a_network_of_single_images_behind_a_free_batch_axis(tmp_path: Path) -> None:
    """Exporters bake the batch of one into a Reshape, and leave the declared axis free."""
    model = linear_model(SIDE, SIDE, last=[node("Reshape", ["product", "shape"])])
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, DIM], np.int64), "shape"))
    found = open_described(write_described(tmp_path, model))
    images = np.random.default_rng(5).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    assert found.embed(images).shape == (4, DIM)


def test_probe_images_are_unlike_each_other() -> None:
    for size in ((1, 1), (2, 5), (224, 96)):
        images = probe_images(*size)
        assert images.shape == (3, *size, 3)
        assert images.dtype == np.uint8
    flat = images.reshape(3, -1).astype(np.float64)
    flat -= flat.mean()
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    assert (np.abs(flat @ flat.T) - np.eye(3)).max() < 0.5


def test_half_precision_is_no_dependence_on_the_batch(tmp_path: Path) -> None:
    """Its rounding differs between kernels for one image and for several."""
    model = linear_model(SIDE, SIDE, matrix=weights(SIDE, SIDE) / 32)
    half = helper.make_node("Cast", ["flat"], ["flat half"], to=TensorProto.FLOAT16)
    product = helper.make_node("MatMul", ["flat half", "matrix half"], ["product half"])
    back = helper.make_node("Cast", ["product half"], ["embedding"], to=TensorProto.FLOAT)
    del model.graph.node[1:]
    model.graph.node.extend([half, product, back])
    matrix = (weights(SIDE, SIDE) / 32).astype(np.float16)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(matrix, "matrix half"))
    assert open_described(write_described(tmp_path, model)).embedding_dim == DIM
