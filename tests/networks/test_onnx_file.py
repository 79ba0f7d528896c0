"""ONNX files that cannot be used: the cause is named, and nothing hostile is followed."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgecmp.errors import UserError
from edgecmp.files import sha256_file
from edgecmp.networks.onnx_file import OnnxFile
from tests.fixtures.small_onnx import linear_model

SIDE = 6


def written(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def changed(change: Callable[[onnx.ModelProto], None]) -> onnx.ModelProto:
    model = linear_model(SIDE, SIDE)
    change(model)
    return model


def two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("text", TensorProto.INT64, ["n", 77]))


def integers(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    del model.graph.node[:]
    model.graph.node.append(
        helper.make_node("Cast", ["image"], ["embedding"], to=TensorProto.FLOAT)
    )


def own_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "my.company"
    model.graph.node[1].op_type = "Attend"
    model.opset_import.append(helper.make_opsetid("my.company", 1))


def misspelt(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "MatMull"


def huge_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2**31


INSTALLED = re.escape(f"installed ONNX Runtime {onnxruntime.__version__}")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            linear_model(SIDE, SIDE, ir_version=99),
            rf"has ONNX's IR version 99, but the {INSTALLED} reads versions up to \d+\. Update it "
            r"with `pip install --upgrade onnxruntime`, .* IR version of at most \d+",
        ),
        (
            linear_model(SIDE, SIDE, opset=99),
            rf"has version 99 of the operator set ai\.onnx, but the {INSTALLED} reads versions up "
            r"to \d+\. .*opset_version of at most \d+",
        ),
        (changed(two_inputs), "it has 2 inputs .*text: int64"),
        (changed(integers), r"its input is image: int64 .*, not a batch of images of float32"),
        (changed(own_operator), "uses the operator .*Attend.* does not support"),
        (changed(misspelt), "uses the operator MatMull .* does not support"),
        (changed(huge_batch), "reads batches of 2147483648 images"),
    ],
    ids=["IR", "opset", "two inputs", "dtype", "own operator", "misspelt", "huge batch"],
)
def test_the_cause_is_named_and_the_file_not_called_damaged(
    tmp_path: Path, model: onnx.ModelProto, says: str
) -> None:
    with pytest.raises(UserError, match=says) as raised:
        OnnxFile(written(tmp_path, model))
    assert "net.onnx" in str(raised.value)
    for word in ("truncated", "damaged", "onnxruntime_src"):
        assert word not in str(raised.value)


def refusal_of(path: Path) -> UserError | None:
    """Why the file is refused, if it is."""
    try:
        OnnxFile(path)
    except UserError as error:
        return error
    return None


def external(folder: Path, location: str, *, inside: bool = False) -> Path:
    """A file whose matrix is in another file; `inside`: a constant of a branch of an If."""
    model = linear_model(SIDE, SIDE)
    [matrix] = model.graph.initializer
    raw, name = matrix.raw_data, "w.bin"
    matrix.ClearField("raw_data")
    matrix.data_location = TensorProto.EXTERNAL
    entry = matrix.external_data.add()
    entry.key, entry.value = "location", location
    (folder / name).write_bytes(raw)
    if inside:
        constant = helper.make_node("Constant", [], ["chosen"])
        attribute = constant.attribute.add()
        attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
        attribute.t.CopyFrom(matrix)
        output = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)
        branch = helper.make_graph([constant], "branch", [], [output])
        condition = helper.make_tensor("always", TensorProto.BOOL, [], [True])
        del model.graph.initializer[:]
        model.graph.initializer.append(condition)
        choice = helper.make_node(
            "If", ["always"], ["matrix"], then_branch=branch, else_branch=branch
        )
        model.graph.node.insert(0, choice)
    return written(folder, model)


@pytest.mark.parametrize("inside", [False, True])
def test_external_weights_belong_to_the_hash(tmp_path: Path, inside: bool) -> None:
    path = external(tmp_path, "w.bin", inside=inside)
    before = OnnxFile(path).sha256
    assert before != sha256_file(path)
    content = bytearray((tmp_path / "w.bin").read_bytes())
    content[2] ^= 1
    (tmp_path / "w.bin").write_bytes(content)
    assert OnnxFile(path).sha256 != before
    (tmp_path / "w.bin").unlink()
    with pytest.raises(UserError, match=r"weights in w\.bin, which is not in the same folder"):
        OnnxFile(path)


@pytest.mark.parametrize("location", ["../w.bin", "a/../../w.bin", "/dev/zero", "w\0.bin", ""])
def test_external_weights_outside_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path = external(folder, location)
    (tmp_path / "w.bin").write_bytes((folder / "w.bin").read_bytes())
    with pytest.raises(UserError, match=r"net\.onnx keeps its weights in .*outside its own folder"):
        OnnxFile(path)


def test_links_to_weights_elsewhere_are_explained(tmp_path: Path) -> None:
    """As in a download cache, where both files are links into a folder of hashed names."""
    folder, store = tmp_path / "snapshot", tmp_path / "blobs"
    folder.mkdir()
    store.mkdir()
    path = external(folder, "w.bin")
    (folder / "w.bin").rename(store / "0123")
    (folder / "w.bin").symlink_to(store / "0123")
    refusal = refusal_of(path)
    if refusal is not None:  # by a runtime that does not follow links
        assert "does not read the external weights" in refusal.what
        assert "not links to them, into one folder" in refusal.way_out


def nested(depth: int) -> bytes:
    """A graph inside a graph inside a graph, as protobuf bytes made by hand."""

    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    graph = field(2, b"x")
    for _ in range(depth):
        node = field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph))
        graph = field(1, node)
    return field(7, graph)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 64, b"not protobuf at all", nested(3000), b"\x3a\xff\xff\xff\xff\x7f"],
    ids=["empty", "zeros", "text", "nested", "length"],
)
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"net\.onnx is not an ONNX file"):
        OnnxFile(path)


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "net.onnx"
    os.mkfifo(pipe)
    refused: list[Any] = []

    def attempt(path: Path) -> None:
        with pytest.raises(UserError, match="an ONNX file") as raised:
            OnnxFile(path)
        refused.append(raised.value)

    for path in (pipe, Path("/dev/zero"), tmp_path, tmp_path / "a\0b.onnx"):
        worker = threading.Thread(target=attempt, args=(path,), daemon=True)
        worker.start()
        worker.join(5)
    assert len(refused) == 4


def test_a_file_larger_than_protobuf_allows_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.truncate(2**31 + 1)  # sparse
    with pytest.raises(UserError, match=r"2,147,483,649 bytes, too many for an ONNX file"):
        OnnxFile(path)


def test_operators_are_those_of_all_graphs(tmp_path: Path) -> None:
    assert OnnxFile(external(tmp_path, "w.bin", inside=True)).operators == {
        *("If", "Constant", "Flatten", "MatMul", "Identity")
    }


@pytest.mark.slow(quick=["0"])
@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes_are_refused_or_change_the_hash(tmp_path: Path, seed: int) -> None:
    path = written(tmp_path, linear_model(SIDE, SIDE))
    whole, before = bytearray(path.read_bytes()), OnnxFile(path).sha256
    rng = np.random.default_rng(seed)
    for _ in range(5):
        mutant = bytearray(whole)
        reach = 80 if rng.random() < 0.8 else len(whole)  # most of the rest are weights
        mutant[rng.integers(reach)] ^= int(rng.integers(1, 256))
        path.write_bytes(mutant)
        refusal = refusal_of(path)
        if refusal is None:
            assert OnnxFile(path).sha256 != before
        else:
            assert "net.onnx" in str(refusal)


@pytest.mark.parametrize("at", [b"image", b"embedding", b"MatMul", b"batch"])
def test_names_that_are_not_text_are_refused(
    tmp_path: Path, at: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    content = linear_model(SIDE, SIDE).SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(content.replace(at, at[:-1] + b"\xff"))
    with pytest.raises(UserError, match=r"net\.onnx"):
        OnnxFile(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("size", [-1, 0])
def test_an_axis_of_no_size_is_a_free_one(tmp_path: Path, size: int) -> None:
    def no_size(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = size

    assert OnnxFile(written(tmp_path, changed(no_size))).batch_size is None
