"""Networks in ONNX files: any layout, type and batch axis; unusable files are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecmp import kit
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle
from edgecmp.cli import main
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.files import sha256_file
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.open import open_described, open_gallery, open_query
from edgecmp.networks.embed import embed
from edgecmp.networks.gallery import GalleryNet, build_gallery
from edgecmp.networks.recalibrate import recalibrate

SIZE = 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALISED = f"mean = {list(MEAN)}\nstd = {list(STD)}\n"


@pytest.fixture(scope="module")
def network() -> GalleryNet:
    """A small ResNet of pytorchcv's units with recalibrated statistics."""
    torch.manual_seed(0)
    made = build_gallery("resnet18s", embedding_dim=24, input_size=SIZE)
    recalibrate(made, [torch.randn(64, 3, SIZE, SIZE)])
    return made.eval()


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def expected(network: GalleryNet, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """By the definition, without `Preprocessing`."""
    given = (pixels / 255 - np.array(MEAN)) / np.array(STD)
    with torch.inference_mode():
        embeddings: torch.Tensor = network(torch.from_numpy(given.transpose(0, 3, 1, 2)).float())
    return np.asarray(embeddings, np.float32)


@pytest.fixture(scope="module")
def exported(network: GalleryNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as torch's exporter writes it: free batch axis, external weights."""
    path = tmp_path_factory.mktemp("exported") / "net.onnx"
    torch.onnx.export(
        network,
        (torch.zeros(2, 3, SIZE, SIZE),),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert path.with_name("net.onnx.data").exists()
    return path


Write = Callable[..., Path]


@pytest.fixture
def write(exported: Path, tmp_path: Path) -> Write:
    """write(edit, toml): a copy of the network with the description beside it; the .toml's path."""

    def make(edit: Callable[[onnx.ModelProto], None] | None = None, toml: str = NORMALISED) -> Path:
        model = onnx.load(exported)
        if edit is not None:
            edit(model)
        onnx.save(model, tmp_path / "net.onnx")
        (tmp_path / "net.toml").write_text(f'onnx = "net.onnx"\n{toml}')
        return tmp_path / "net.toml"

    return make


def set_shape(value: Any, *axes: int | str) -> None:
    del value.type.tensor_type.shape.dim[:]
    for axis in axes:
        value.type.tensor_type.shape.dim.add(
            **{"dim_value" if isinstance(axis, int) else "dim_param": axis}
        )


def read_as(
    type_: int, *, last: bool = False, scale: bool = False
) -> Callable[[onnx.ModelProto], None]:
    """The input becomes another type, its channels last, its normalisation part of the network."""

    def edit(model: onnx.ModelProto) -> None:
        image = model.graph.input[0]
        old, nodes = image.name, []
        value = "given"
        if type_ != TensorProto.FLOAT:
            nodes.append(helper.make_node("Cast", [value], ["cast"], to=TensorProto.FLOAT))
            value = "cast"
        if last:
            nodes.append(helper.make_node("Transpose", [value], ["moved"], perm=[0, 3, 1, 2]))
            value = "moved"
        if scale:
            for name, numbers in (("the mean", MEAN), ("the std", STD)):
                array = (255 * np.array(numbers, np.float32)).reshape(1, 3, 1, 1)
                model.graph.initializer.append(numpy_helper.from_array(array, name))
            nodes.append(helper.make_node("Sub", [value, "the mean"], ["centred"]))
            nodes.append(helper.make_node("Div", ["centred", "the std"], ["scaled"]))
            value = "scaled"
        nodes.append(helper.make_node("Identity", [value], [old]))
        image.name = "given"
        image.type.tensor_type.elem_type = type_
        if last:
            set_shape(image, "batch", SIZE, SIZE, 3)
        rest = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([*nodes, *rest])

    return edit


def fixed_batch(count: int) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        set_shape(model.graph.input[0], count, 3, SIZE, SIZE)
        del model.graph.value_info[:]
        set_shape(model.graph.output[0], count, 24)

    return edit


def append(op: str, shape: tuple[int | str, ...], *inputs: NDArray[Any], **attributes: Any) -> Any:
    """The output goes through one more operator."""

    def edit(model: onnx.ModelProto) -> None:
        output = model.graph.output[0]
        names = [f"extra{number}" for number in range(len(inputs))]
        for name, values in zip(names, inputs, strict=True):
            model.graph.initializer.append(numpy_helper.from_array(values, name))
        model.graph.node.append(helper.make_node(op, [output.name, *names], ["last"], **attributes))
        output.name = "last"
        set_shape(output, *shape)

    return edit


@pytest.mark.slow
def test_an_export_by_torch_with_external_weights(
    exported: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float32], tmp_path: Path
) -> None:
    (tmp_path / "net.toml").write_text(f'onnx = "{exported}"\n{NORMALISED}')
    model = open_gallery(tmp_path / "net.toml")
    np.testing.assert_allclose(model.embed(pixels), expected, atol=1e-5)
    assert model.embedding_dim == 24
    assert model.preprocessing.input_size == SIZE
    assert model.external
    assert model.gallery_sha256 is None
    for path in (exported, exported.with_name("net.onnx.data")):
        shutil.copy(path, tmp_path)
    (tmp_path / "net.toml").write_text(f'onnx = "net.onnx"\n{NORMALISED}')
    assert open_gallery(tmp_path / "net.toml").sha256 == model.sha256
    weights = tmp_path / "net.onnx.data"
    content = bytearray(weights.read_bytes())
    content[5000] ^= 1
    weights.write_bytes(content)
    assert open_gallery(tmp_path / "net.toml").sha256 != model.sha256
    weights.unlink()
    with pytest.raises(UserError, match=r"keeps its weights in net\.onnx\.data"):
        open_gallery(tmp_path / "net.toml")


@pytest.mark.parametrize(
    ("edit", "toml"),
    [
        (None, NORMALISED),
        (None, f"{NORMALISED}input_size = {SIZE}\nlayout = 'NCHW'\n"),
        (read_as(TensorProto.FLOAT, last=True), NORMALISED),
        (read_as(TensorProto.UINT8, scale=True), ""),
        (read_as(TensorProto.UINT8, last=True, scale=True), ""),
        (
            read_as(TensorProto.FLOAT, scale=True),
            "mean = [0, 0, 0]\nstd = [0.00392156862745098, 0.00392156862745098, "
            "0.00392156862745098]\n",
        ),
        (fixed_batch(1), NORMALISED),
        (fixed_batch(3), NORMALISED),
        (append("Unsqueeze", ("batch", 24, 1, 1), np.array([2, 3])), NORMALISED),
        (append("Mul", ("batch", 24), np.array(7.5, np.float32)), NORMALISED),
    ],
    ids=[
        *("plain", "all said", "NHWC", "uint8", "uint8 NHWC", "0..255"),
        *("batch 1", "batch 3", "D x 1 x 1", "long"),
    ],
)
def test_every_form_returns_the_networks_embeddings(
    edit: Any,
    toml: str,
    write: Write,
    pixels: NDArray[np.uint8],
    expected: NDArray[np.float32],
) -> None:
    source = write(edit, toml)
    model = open_described(source)
    found = model.embed(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model.sha256 == sha256_file(source.with_suffix(".onnx"))


def test_half_precision_input(
    write: Write, pixels: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    model = open_described(write(read_as(TensorProto.FLOAT16)))
    np.testing.assert_allclose(model.embed(pixels), expected, atol=5e-3)


def test_scaling_is_reported_once(
    write: Write, pixels: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    model = open_described(write(append("Mul", ("batch", 24), np.array(7.5, np.float32))))
    model.embed(pixels)
    model.embed(pixels)
    assert capsys.readouterr().err.count("not of unit length") == 1


def two_outputs(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Neg", [model.graph.output[0].name], ["logits"]))
    model.graph.output.append(
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 24])
    )


def test_one_of_several_outputs(
    write: Write, pixels: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    model = open_described(write(two_outputs, f'{NORMALISED}output = "logits"\n'))
    np.testing.assert_allclose(model.embed(pixels), -expected, atol=1e-5)
    with pytest.raises(UserError, match=r"has 2 outputs .*logits: float.*output = "):
        open_described(write(two_outputs))
    with pytest.raises(UserError, match="Did you mean logits"):
        open_described(write(two_outputs, f'{NORMALISED}output = "logit"\n'))


def free_size(model: onnx.ModelProto) -> None:
    set_shape(model.graph.input[0], "batch", 3, "high", "wide")


def free_axes(model: onnx.ModelProto) -> None:
    set_shape(model.graph.input[0], "batch", "a", "b", "c")


def feature_map(model: onnx.ModelProto) -> None:
    append("Reshape", ("batch", 6, 2, 2), np.array([-1, 6, 2, 2]))(model)


def gray(model: onnx.ModelProto) -> None:
    set_shape(model.graph.input[0], "batch", 1, SIZE, SIZE)


@pytest.mark.parametrize(
    ("edit", "toml", "says"),
    [
        (
            None,
            "maen = [0.5, 0.5, 0.5]\n",
            r"Unknown key 'maen' in .*net\.toml\. Did you mean mean",
        ),
        (None, "mean = [0.5, 0.5]\n", r"net\.toml does not describe an ONNX file: mean"),
        (None, "mean = 0.5 0.5\n", r"net\.toml cannot be read"),
        (None, "", r"has no mean, which .*net\.onnx needs"),
        (None, "mean = [0, 0, 0]\nstd = [0, 1, 1]\n", "outside their range"),
        (None, f"{NORMALISED}input_size = 32\n", "an input_size of 32.* images of 16 pixels"),
        (None, f"{NORMALISED}layout = 'NHWC'\n", "which in NHWC is not an RGB image"),
        (None, f"{NORMALISED}gallery = 'gone.toml'\n", "neither a SHA-256 nor an existing path"),
        (None, f"{NORMALISED}gallery = 'net.toml'\n", "names itself"),
        (free_size, NORMALISED, "does not fix the size.*input_size = 224"),
        (free_axes, NORMALISED, "where the channels are.*layout = "),
        (gray, NORMALISED, "where the channels are"),
        (read_as(TensorProto.UINT8, scale=True), NORMALISED, "normalises them itself"),
        (read_as(TensorProto.INT32), NORMALISED, "not a batch of images of float32"),
        (feature_map, NORMALISED, r"has the shape \(1, 6, 2, 2\).*not one embedding per image"),
    ],
)
def test_what_is_missing_or_wrong_is_named(edit: Any, toml: str, says: str, write: Write) -> None:
    with pytest.raises(UserError, match=says):
        open_described(write(edit, toml))


def test_a_free_size_can_be_said(
    write: Write, pixels: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    model = open_described(write(free_size, f"{NORMALISED}input_size = {SIZE}\n"))
    np.testing.assert_allclose(model.embed(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.99])
def test_a_truncated_file_is_refused(share: float, write: Write) -> None:
    source = write()
    path = source.with_suffix(".onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"net\.onnx"):
        open_described(source)


def test_a_missing_file_or_package_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write()
    with pytest.raises(UserError, match=r"no\.onnx cannot be read as an ONNX file: No such file"):
        open_gallery(source.with_name("no.onnx"))
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"without onnxruntime, .*pip install 'edgecmp\[export\]'"):
        open_described(source)


def test_a_bare_file_prints_the_description_to_write(
    write: Write, pixels: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    source = write()
    bare = source.with_suffix(".onnx")
    np.testing.assert_allclose(open_gallery(bare).embed(pixels), expected, atol=1e-5)
    source.unlink()
    with pytest.raises(
        UserError, match="does not contain the preprocessing of its images"
    ) as raised:
        open_gallery(bare)
    printed = raised.value.way_out.partition("\n\n")[2]
    assert f"# input_size = {SIZE}" in printed
    source.write_text(printed)
    np.testing.assert_allclose(open_query(bare).embed(pixels), expected, atol=1e-5)


def test_the_gallery_of_a_query_network(write: Write) -> None:
    digits = "0123456789abcdef" * 4
    assert open_query(write(toml=f'{NORMALISED}gallery = "{digits}"\n')).gallery_sha256 == digits
    folder = kit.path("gallery")
    model = open_query(write(toml=f'{NORMALISED}gallery = "{folder}"\n'))
    assert model.gallery_sha256 == GalleryBundle.load(folder).sha256


@pytest.mark.slow
def test_an_index_by_the_command_line(
    write: Write, network: GalleryNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a company does: its gallery model's file, a description, an index."""
    source, out = write(), tmp_path / "index"
    assert main(["gallery", "build", "--model", str(source), "--out", str(out)]) == 0
    index = GalleryIndex.load(out, gallery_sha256=sha256_file(source.with_suffix(".onnx")))
    images = load_dataset("emoji").retrieval("test").gallery
    prepare = open_gallery(source).preprocessing
    np.testing.assert_allclose(
        index.embeddings, embed(network, images.pixels(prepare), prepare), atol=1e-4
    )
    assert main(["gallery", "build", "--model", str(tmp_path / "nte.toml"), "--out", "x"]) == 2
    assert main(["eval", "--gallery", str(source)]) == 2
    assert "was trained for another gallery model" in capsys.readouterr().err
    query = f'{NORMALISED}gallery = "net.onnx"\n'
    (tmp_path / "query.toml").write_text(f'onnx = "net.onnx"\n{query}')
    same = ["--model", str(tmp_path / "query.toml"), "--gallery", str(source)]
    assert main(["eval", *same]) == 0
    rows = [line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:5]]
    assert rows[0] == rows[1] == rows[2]


def test_a_query_network_is_no_gallery_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a file, not the folder of a gallery model"):
        GalleryBundle.load(kit.path("query") / "architecture.json")
    bundle = QueryBundle.load(kit.path("query"))
    assert open_query(kit.path("query")).sha256 == bundle.sha256
    with pytest.raises(UserError, match="not a gallery model"):
        open_gallery(kit.path("query"))
