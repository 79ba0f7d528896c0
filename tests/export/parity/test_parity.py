"""Parity on real images: good files pass, and each planted fault is caught for what it is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from PIL import Image

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.export import ParityReport, export, parity, targets
from edgecmp.export.find import find
from edgecmp.export.formats.tflite.graph_builder import GraphBuilder
from edgecmp.export.lowering import lower
from edgecmp.export.parity.diagnosis import compare_layers
from edgecmp.export.parity.layer_probes import layer_names
from edgecmp.export.parity.verdict import BOUNDS, Bounds
from edgecmp.export.quantisation.scheme import Quantisation
from edgecmp.export.quantisation.weights import quantise_weight
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.export.runtimes.open import open_model
from edgecmp.files import sha256_json, sha256_tensors
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.index_manifest import IndexManifest
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.embed import embed
from edgecmp.networks.query import QueryNet
from edgecmp.preprocessing import Preprocessing
from tests.export.resealed import reseal
from tests.fixtures.runtimes import TFLITE_RUNTIMES, available, needs_tflite_runtime

Make = Callable[..., Path]
Check = Callable[..., ParityReport]
Floats = NDArray[np.float32]
Edit = Callable[[onnx.ModelProto], None]
QUERIES = 40
GALLERY_SHA256 = "ab" * 32
"""What the network of `query_folder` says that it is compatible with."""

KEYS = {
    "target",
    "precision",
    "runtime",
    "file",
    "size_mb",
    "min_cosine",
    "p1_cosine",
    "mean_cosine",
    "top1_agreement",
    "top10_overlap",
    "delta_top1",
    "delta_top10",
    "delta_top10_low",
    "delta_top10_high",
    "delta_tar",
    "delta_tar_low",
    "delta_tar_high",
    "latency_ms",
    "mqg_top10",
    "mqq_top10",
    "rule",
    "collapse",
    "verdict",
    "reason",
}


def build_index(query: Path, out: Path, *, gallery_sha256: str, misplaced: bool = False) -> Path:
    """An index of the emoji gallery, as a gallery model would make it that knows the queries.

    Each gallery image lies near a query: its own identity's, where that is among the queries, else
    any. The query network is untrained; with its own embeddings it would find nothing, and
    agreement on nothing means nothing. With `misplaced`, each gallery image lies near a query of
    another identity.
    """
    bundle = QueryBundle.load(query)
    preprocessing = bundle.preprocessing
    task = load_dataset("emoji").retrieval("test")
    chosen = np.linspace(0, len(task.queries) - 1, QUERIES).round().astype(np.int64)
    queries = task.queries.subset(chosen)
    embeddings = embed(bundle.network, queries.pixels(preprocessing), preprocessing)
    generator = np.random.default_rng(0)
    near = generator.integers(0, QUERIES, len(task.gallery))
    for row, identity in enumerate(queries.identities):
        near[task.gallery.identities == identity] = row
    if misplaced:
        near = (near + 1) % QUERIES
    noise = 0.05 * generator.standard_normal((len(near), embeddings.shape[1]))
    gallery = (embeddings[near] + noise).astype(np.float32)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    tensors = {"embeddings": gallery, "identities": task.gallery.identities}
    names = {
        "identity_names": list(task.gallery.identity_names),
        "keys": list(task.gallery.keys),
    }
    index = GalleryIndex(
        embeddings=gallery,
        identities=task.gallery.identities,
        identity_names=task.gallery.identity_names,
        keys=task.gallery.keys,
        manifest=IndexManifest(
            gallery_sha256=gallery_sha256,
            preprocessing=preprocessing.to_dict(),
            preprocessing_fingerprint=preprocessing.fingerprint,
            data={"name": "emoji", "fingerprint": task.gallery.fingerprint},
            embeddings_sha256=sha256_tensors({k: torch.from_numpy(v) for k, v in tensors.items()}),
            images_sha256=sha256_json(names),
        ),
    )
    return index.save(out)


@pytest.fixture(scope="module")
def index(query_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_index(
        query_folder, tmp_path_factory.mktemp("index"), gallery_sha256=GALLERY_SHA256
    )


@pytest.fixture
def check(query_folder: Path, index: Path) -> Check:
    """check(*files, **changes): parity of the network of `query_folder` on a few queries."""

    def run(*files: Path, **changes: Any) -> ParityReport:
        arguments: dict[str, Any] = {"model": query_folder, "index": index, "limit": QUERIES}
        return parity(files, **(arguments | changes))

    return run


def edited(path: Path, folder: Path, edit: Edit) -> Path:
    """A copy of an ONNX file with a planted fault."""
    model = onnx.load(path)
    edit(model)
    onnx.save(model, folder / "edited.onnx")
    return reseal(folder / "edited.onnx")


def change_last_layer(change: Callable[[Floats, Floats], None]) -> Edit:
    """Changes weight (D, C) or (C, D) and bias (D,) of the last linear layer in place."""

    def edit(model: onnx.ModelProto) -> None:
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        layer = [node for node in model.graph.node if node.op_type == "Gemm"][-1]
        weight, bias = (numpy_helper.to_array(tensors[name]).copy() for name in layer.input[1:])
        change(weight, bias)
        for name, value in zip(layer.input[1:], (weight, bias), strict=True):
            tensors[name].CopyFrom(numpy_helper.from_array(value, name))

    return edit


def swap_two(weight: Floats, bias: Floats) -> None:
    weight[[0, 1]] = weight[[1, 0]]


def swap_in_a_kernel(model: onnx.ModelProto) -> None:
    """Swaps two filters of one convolution in the middle of the network."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    architecture = Architecture.random("100M", seed=3, embedding_dim=32, input_size=64)
    names = layer_names(
        lower(architecture.build(), without=targets()["onnx"].without, input_size=64), "onnx"
    )
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    kernel = tensors[nodes[names.index("blocks.7.main.0")].input[1]]
    weight = numpy_helper.to_array(kernel).copy()
    weight[[0, 1]] = weight[[1, 0]]
    kernel.CopyFrom(numpy_helper.from_array(weight, kernel.name))


def collapse(weight: Floats, bias: Floats) -> None:
    bias += 10 * np.abs(weight).max() * np.sqrt(weight.size)


def not_finite(weight: Floats, bias: Floats) -> None:
    bias[0] = np.nan


def normalise_again(model: onnx.ModelProto) -> None:
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    model.graph.initializer.append(half)
    for node in model.graph.node:
        node.input[:] = ["normalised" if name == "image" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Sub", ["image", "half"], ["shifted"]))
    model.graph.node.insert(1, helper.make_node("Div", ["shifted", "half"], ["normalised"]))


def swap_channels(model: onnx.ModelProto) -> None:
    order = numpy_helper.from_array(np.array([2, 1, 0], np.int64), "order")
    model.graph.initializer.append(order)
    for node in model.graph.node:
        node.input[:] = ["bgr" if name == "image" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Gather", ["image", "order"], ["bgr"], axis=1))


def scale_output(model: onnx.ModelProto) -> None:
    """A fault behind the last layer: the file's output is turned round."""
    order = numpy_helper.from_array(np.arange(31, -1, -1), "order")
    model.graph.initializer.append(order)
    for node in model.graph.node:
        node.output[:] = ["ahead" if name == "embedding" else name for name in node.output]
    model.graph.node.append(helper.make_node("Gather", ["ahead", "order"], ["embedding"], axis=1))


def change_metadata(change: Callable[[dict[str, Any]], None]) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        entry = next(entry for entry in model.metadata_props if entry.key == "edgecmp")
        document = json.loads(entry.value)
        change(document)
        entry.value = json.dumps(document)

    return edit


def test_good_files_pass_in_every_runtime(
    check: Check, exported: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of so few queries each is more than fp16's bound; here one may be found or lost by chance."""
    one_query = replace(BOUNDS["fp16"], max_change_top10=1.01 * 100 / QUERIES)
    monkeypatch.setitem(BOUNDS, "fp16", one_query)
    files = [
        exported(target, precision)
        for target in ("tflite", "onnx", "coreml")
        for precision in ("fp32", "fp16")
    ]
    report = check(*files)
    assert report.passed, report.rows
    assert report.queries == QUERIES
    assert 10 < report.torch_top10 < 100, "found by all or by none, agreement would mean nothing"
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert len(document["rows"]) == 2 * (2 + 1 + 2)
    for row in available(document["rows"]):
        assert row.keys() >= KEYS
        if row["runtime"] == "coreml":
            assert (row["verdict"], row["reason"]) == ("not run", "needs macOS")
            assert row["min_cosine"] is None
            continue
        assert (row["verdict"], row["reason"]) == ("pass", "")
        assert row["p1_cosine"] >= row["min_cosine"] > 0.999
        assert row["collapse"] == pytest.approx(row["collapse_torch"], abs=1e-2)
        assert row["collapse"] < 0.9
        assert row["delta_top10_low"] <= row["delta_top10"] <= row["delta_top10_high"]
        assert 0.5 < row["size_mb"] < 10


@pytest.mark.slow(quick=["swapped weight", "BGR", "behind the last layer"])
@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (change_last_layer(swap_two), r"departs first at linear \("),
        (swap_in_a_kernel, r"departs first at blocks\.7\.main\.0 \("),
        (change_last_layer(collapse), "collapsed: different identities"),
        (change_last_layer(not_finite), "some embeddings contain values that are not finite"),
        (normalise_again, r"normalised twice.*agrees when given pixels in 0\.\.1\)"),
        (swap_channels, "it reads BGR: red and blue are swapped"),
        (scale_output, r"all \d+ layers agree with torch's, so the fault is behind the last layer"),
    ],
    ids=[
        *("swapped weight", "swapped kernel", "collapsed embedding", "not a number"),
        *("double normalisation", "BGR", "behind the last layer"),
    ],
)
def test_a_file_that_computes_something_else_fails(
    check: Check, exported: Make, tmp_path: Path, edit: Edit, says: str
) -> None:
    report = check(edited(exported("onnx", "fp32"), tmp_path, edit))
    assert not report.passed
    [row] = report.rows
    assert row["verdict"] == "fail"
    assert re.search(says, row["reason"]), row["reason"]
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_a_swapped_weight_in_a_core_ml_package_fails(
    check: Check, exported: Make, tmp_path: Path
) -> None:
    package = tmp_path / "query.mlpackage"
    shutil.copytree(exported("coreml", "fp32"), package)
    weight = max(MilProgram(package).weights.values(), key=lambda weight: weight.values.size)
    content = bytearray(weight.file.read_bytes())
    raw = weight.values.tobytes()
    start = content.index(raw)
    half = len(raw) // 2
    content[start : start + len(raw)] = raw[half:] + raw[:half]
    weight.file.write_bytes(bytes(content))
    reseal(package)
    rows = {row["runtime"]: row for row in check(package).rows}
    assert rows["mil-reference"]["verdict"] == "fail"
    assert re.search(r"departs first at (blocks|head|stem|linear)", rows["mil-reference"]["reason"])


def test_a_swapped_weight_in_a_tflite_file_fails(
    check: Check, exported: Make, query_folder: Path, tmp_path: Path
) -> None:
    network = QueryBundle.load(query_folder).network
    assert isinstance(network, QueryNet)
    folded, _ = network.embedding.folded()
    weight = folded.detach().float().numpy()
    content = exported("tflite", "fp32").read_bytes()
    first, second = weight[0].tobytes(), weight[1].tobytes()
    assert content.count(first + second) == 1
    file = tmp_path / "query.tflite"
    file.write_bytes(content.replace(first + second, second + first))
    report = check(reseal(file))
    rows = available(report.rows)
    assert [row["verdict"] for row in rows] == ["fail"] * len(TFLITE_RUNTIMES)
    assert all("departs first at linear (" in row["reason"] for row in rows)


@needs_tflite_runtime
def test_a_precision_that_one_runtime_gets_wrong_is_refused_for_it(
    check: Check, query_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tflite-runtime 2.14 multiplies floats with a channel's int8 weights wrongly, silently."""
    stored = GraphBuilder.weight

    def dynamic(self: Any, name: str, values: torch.Tensor, axis: int) -> int:
        if not name.startswith("linear"):
            return stored(self, name, values, axis)
        integers, scale = quantise_weight(values.numpy(), axis)
        constant: int = self.builder.constant(name, integers, Quantisation(scale=scale, axis=axis))
        return constant

    monkeypatch.setattr(GraphBuilder, "weight", dynamic)
    loose = Bounds(min_cosine=0.9, min_top1_agreement=None, max_change_top10=10)
    monkeypatch.setitem(BOUNDS, "int8-weights", loose)  # untrained networks are noisy
    file = export("tflite", model=query_folder, precision="int8-weights", out=tmp_path).path
    rows = {row["runtime"]: row for row in check(file).rows}
    assert rows["tflite-runtime"]["verdict"] == "fail"
    says = rows["tflite-runtime"]["reason"]
    assert "departs first at linear (" in says
    assert says.endswith("litert computes it correctly: int8-weights is not for tflite-runtime")


@pytest.mark.slow(quick=["tflite-tensor", "onnx-image"])
@pytest.mark.parametrize("reads", ["tensor", "image"])
@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_the_layers_of_a_good_file_are_torchs(
    target: str, reads: str, exported: Make, query_folder: Path
) -> None:
    """Else a layer that differs would mean nothing."""
    bundle = QueryBundle.load(query_folder)
    pixels = load_dataset("emoji").test.pixels(bundle.preprocessing, np.arange(3))
    for precision, bound in (("fp32", 0.9999), ("fp16", 0.99)):
        for runner in open_model(exported(target, precision, reads)):
            layers = compare_layers(runner, bundle, pixels)
            assert layers is not None
            assert layers.least > bound, layers


@pytest.mark.slow
def test_the_stages_before_the_files_are_judged(check: Check, exported: Make) -> None:
    files = [exported("tflite", name) for name in ("fp32", "fp16", "int8-weights", "int8")]
    report = check(*files)
    assert [stage["stage"] for stage in report.stages] == [
        *("train", "lower", "quantise fp16", "quantise int8-weights", "quantise int8")
    ]
    by_name = {stage["stage"]: stage for stage in report.stages}
    assert by_name["lower"]["min_cosine"] > 0.99999
    assert by_name["quantise fp16"]["verdict"] == "pass"
    assert {stage["rule"] for stage in report.stages} <= {"holds", "level", "broken"}
    for row in report.rows:  # what is converted is what was quantised
        if row["precision"] != "int8":
            name = f"quantise {row['precision']}" if row["precision"] != "fp32" else "lower"
            assert row["min_cosine"] == pytest.approx(by_name[name]["min_cosine"], abs=1e-4)


def test_a_network_that_breaks_the_rule_does_not_fail_its_files(
    check: Check, exported: Make, query_folder: Path, tmp_path: Path
) -> None:
    """Whoever keeps the server's index asks whether a file does what its network does."""
    elsewhere = build_index(
        query_folder, tmp_path / "index", gallery_sha256=GALLERY_SHA256, misplaced=True
    )
    report = check(exported("onnx", "fp32"), index=elsewhere)
    assert [stage["rule"] for stage in report.stages] == ["broken", "broken"]
    assert {row["rule"] for row in report.rows} == {"broken"}
    assert report.passed
    said = [sentence for sentence in report.sentences() if "itself breaks" in sentence]
    assert len(said) == 1
    assert f"M(q,g) {report.torch_top10:.2f} < M(q,q)" in said[0]


def test_the_picture_is_drawn(check: Check, exported: Make, tmp_path: Path) -> None:
    report = check(exported("tflite", "fp16"), picture=tmp_path / "parity.png")
    assert report.picture == str(tmp_path / "parity.png")
    with Image.open(tmp_path / "parity.png") as picture:
        assert picture.size[0] > 800
        assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    with pytest.raises(UserError, match=r"--picture must be a \.png file \(got .*parity\.pdf\)"):
        check(exported("tflite", "fp16"), picture=tmp_path / "parity.pdf")


def test_a_picture_that_cannot_be_written_loses_nothing(
    check: Check,
    exported: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A folder that is missing is found at the start; a disk that fills up meanwhile is told."""
    file = exported("onnx", "fp32")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        check(file, picture=tmp_path / "file" / "parity.png")

    def full(figure: object, path: Path) -> Path:
        raise UserError(f"The disk is full: {path} was not written.", "Free some space.")

    monkeypatch.setattr("edgecmp.export.parity.plot.save_figure", full)
    report = check(file, picture=tmp_path / "parity.png")
    assert report.passed
    assert report.picture is None
    assert "The disk is full" in capsys.readouterr().err


def test_an_index_of_another_gallery_model_is_refused(
    check: Check, exported: Make, query_folder: Path, tmp_path: Path
) -> None:
    other = build_index(query_folder, tmp_path / "other", gallery_sha256="cd" * 32)
    with pytest.raises(UserError, match=r"made by another gallery model than .*tensor-fp32\.onnx"):
        check(exported("onnx", "fp32"), index=other)


def test_an_index_of_other_images_is_refused(
    check: Check, exported: Make, index: Path, tmp_path: Path
) -> None:
    built = GalleryIndex.load(index)
    data = {"name": "emoji", "fingerprint": "0" * 64}
    other = replace(built, manifest=built.manifest.model_copy(update={"data": data}))
    with pytest.raises(UserError, match="was not built from the gallery images of 'emoji'"):
        check(exported("onnx", "fp32"), index=other.save(tmp_path / "other"))


def test_an_index_of_another_width_is_refused(
    check: Check, exported: Make, index: Path, tmp_path: Path
) -> None:
    built = GalleryIndex.load(index)
    narrow = np.ascontiguousarray(built.embeddings[:, :16])
    narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
    tensors = {"embeddings": narrow, "identities": built.identities}
    digest = sha256_tensors({k: torch.from_numpy(v) for k, v in tensors.items()})
    manifest = built.manifest.model_copy(update={"embeddings_sha256": digest})
    other = replace(built, embeddings=narrow, manifest=manifest).save(tmp_path / "other")
    for command in (check, lambda file, **words: find([file], model=file, **words)):
        with pytest.raises(UserError, match=r"have 32 values, but those of the index .* have 16"):
            command(exported("onnx", "fp32"), index=other)


def test_one_unreadable_file_of_several_is_a_row(
    check: Check, exported: Make, tmp_path: Path
) -> None:
    """The others are compared all the same; if it is alone, its error ends the command."""
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(exported("tflite", "fp32").read_bytes()[:-1])
    report = check(cut, exported("onnx", "fp32"))
    assert not report.passed
    good, bad = report.rows
    assert (good["verdict"], good["target"]) == ("pass", "onnx")
    assert (bad["verdict"], bad["target"], bad["min_cosine"]) == ("fail", "tflite", None)
    assert bad.keys() == good.keys()
    assert f"fail: {cut} in no runtime: {cut} was changed since it was written." in str(report)
    json.dumps(report.to_dict(), allow_nan=False)
    with pytest.raises(UserError, match="was changed since it was written"):
        check(cut)


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_a_file_without_a_seal_never_reaches_a_runtime(
    check: Check, exported: Make, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime can crash on any damaged byte, so each is found before."""
    whole = exported(target, "fp32")
    copy = tmp_path / f"copy{whole.suffix}"
    shutil.copytree(whole, copy) if whole.is_dir() else shutil.copy(whole, copy)
    files = [file for file in copy.rglob("*") if file.is_file()] or [copy]
    monkeypatch.setattr("edgecmp.export.parity.case.try_runtimes", None)
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(UserError, match="was changed since it was written"):
            check(copy)
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


def test_another_preprocessing_is_refused(check: Check, exported: Make, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["preprocessing"] = Preprocessing(input_size=64, mean=(0.4, 0.4, 0.4)).to_dict()
        document["preprocessing_fingerprint"] = sha256_json(document["preprocessing"])

    file = edited(exported("onnx", "fp32"), tmp_path, change_metadata(change))
    with pytest.raises(UserError, match="prepares its images differently from the network"):
        check(file)


def test_a_file_of_another_network_is_refused(check: Check, exported: Make, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["weights_sha256"] = "0" * 64

    file = edited(exported("onnx", "fp32"), tmp_path, change_metadata(change))
    with pytest.raises(UserError, match="exported from another query network"):
        check(file)


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_a_truncated_file_is_refused(
    check: Check, exported: Make, tmp_path: Path, target: str
) -> None:
    whole = exported(target, "fp32")
    cut = tmp_path / f"cut{whole.suffix}"
    if whole.is_dir():
        shutil.copytree(whole, cut)
        [part] = cut.rglob("weight.bin")
    else:
        part = cut
        cut.write_bytes(whole.read_bytes())
    part.write_bytes(part.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"was changed since it was written|or it was cut off"):
        check(cut)


def test_a_file_of_an_older_edgecmp_is_refused(
    check: Check, exported: Make, tmp_path: Path
) -> None:
    """Those had no hash over their content."""
    model = onnx.load(exported("onnx", "fp32"))
    entry = next(entry for entry in model.metadata_props if entry.key == "edgecmp")
    document = json.loads(entry.value) | {"format": "edgecmp-export/2"}
    del document["content_sha256"]
    entry.value = json.dumps(document)
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(UserError, match="made by an older edgecmp"):
        check(tmp_path / "old.onnx")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"limit": 0}, r"--limit must be at least 1 \(got 0\)"),
        ({"model": Path("nowhere")}, "nowhere"),
    ],
)
def test_bad_arguments_are_refused(
    check: Check, exported: Make, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        check(exported("onnx", "fp32"), **changes)


def test_no_file_is_refused(check: Check) -> None:
    with pytest.raises(UserError, match="at least one file"):
        check()


HALF = "[0.5, 0.5, 0.5]"


def described(
    path: Path, folder: Path, edit: Edit | None = None, lines: dict[str, str] | None = None
) -> Path:
    """An ONNX file without metadata, and the .toml file that describes it."""
    model = onnx.load(path)
    del model.metadata_props[:]
    if edit is not None:
        edit(model)
    onnx.save(model, folder / "external.onnx")
    keys = {"onnx": '"external.onnx"', "mean": HALF, "std": HALF} | (lines or {})
    text = "".join(f"{key} = {value}\n" for key, value in keys.items())
    (folder / "external.toml").write_text(text)
    return folder / "external.toml"


@pytest.mark.slow
def test_the_network_may_be_given_as_onnx(check: Check, exported: Make, tmp_path: Path) -> None:
    """Our own export knows what it was made from; an external one does not, and a note says so."""
    files = [exported("tflite", "fp32"), exported("tflite", "fp16")]
    for input in ("tensor", "image"):
        rows = check(*files, model=exported("onnx", "fp32", input)).rows
        assert [(row["verdict"], row["reason"]) for row in rows] == [("pass", "")] * 4
    source = described(exported("onnx", "fp32"), tmp_path)
    rows = check(*files, model=source).rows
    assert [row["verdict"] for row in rows] == ["pass"] * 4
    assert all("hashes cannot show that both are the same network" in row["reason"] for row in rows)
    other = described(exported("onnx", "fp32"), tmp_path, change_last_layer(swap_two))
    assert [row["verdict"] for row in check(*files, model=other).rows] == ["fail"] * 4


@pytest.mark.slow(quick=["swapped weight"])
@pytest.mark.parametrize(
    ("edit", "lines", "verdict"),
    [
        (None, {}, "pass"),
        (None, {"gallery": f'"{GALLERY_SHA256}"'}, "pass"),
        (change_last_layer(swap_two), {}, "fail"),
        (None, {"mean": "[0.4, 0.4, 0.4]"}, "fail"),
    ],
    ids=["good", "names its gallery", "swapped weight", "wrong mean"],
)
def test_an_external_file_is_compared(
    edit: Edit | None,
    lines: dict[str, str],
    verdict: str,
    check: Check,
    exported: Make,
    tmp_path: Path,
) -> None:
    [row] = check(described(exported("onnx", "fp32"), tmp_path, edit, lines)).rows
    assert (row["target"], row["runtime"], row["verdict"]) == ("onnx", "onnxruntime", verdict)
    assert row["file"].endswith("external.onnx")
    assert ("hashes cannot show" if verdict == "pass" else "min cosine") in row["reason"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ({"background": "[0, 0, 0]"}, "Compare networks that read the same images"),
        ({"gallery": f'"{"cd" * 32}"'}, "made by another gallery model"),
    ],
)
def test_an_external_file_that_cannot_be_compared(
    lines: dict[str, str], says: str, check: Check, exported: Make, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        check(described(exported("onnx", "fp32"), tmp_path, lines=lines))
