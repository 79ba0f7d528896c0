"""The content of files of other tools, honest and hostile: a description or one sentence."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from edgecmp import api, caged
from edgecmp.errors import UserError
from edgecmp.export import contents
from edgecmp.export.contents import read_contents
from edgecmp.export.formats.coreml.contents import coreml_contents
from edgecmp.export.formats.coreml.package import model_path, read_model
from edgecmp.export.runtimes.mil.program import MilProgram
from tests.fixtures.runtimes import needs_coremltools

Make = Callable[..., Path]
Change = Callable[[Path], None]


def saved(path: Path, *, change: Callable[[onnx.ModelProto], None] | None = None) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [numpy_helper.from_array(np.ones(4, np.float32), "w")],
    )
    model = helper.make_model(graph)
    if change is not None:
        change(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_the_child_reads_what_is_read_here(target: str, exported: Make) -> None:
    path = exported(target, "fp32")
    assert read_contents(path, whole=False) == read_contents(path, whole=True)


def unknown_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 99
    model.graph.initializer[0].data_type = 98


def sequence(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1


def no_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].ClearField("type")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (unknown_type, "x: type 99 (N, 3, 8, 8)"),
        (sequence, "x: sequence type"),
        (no_type, "x: no type"),
    ],
)
def test_odd_onnx_files_are_described(
    tmp_path: Path, change: Callable[[onnx.ModelProto], None], says: str
) -> None:
    found = read_contents(saved(tmp_path / "net.onnx", change=change), whole=False)
    assert found.inputs == [says]


@pytest.mark.parametrize("dims", [[2**62, 2**62, 2**62], [-1, 4], [2**40, 2]])
def test_a_tensor_that_no_file_holds_is_refused(tmp_path: Path, dims: list[int]) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].dims[:] = dims

    with pytest.raises(UserError, match=r"net\.onnx is truncated or damaged \(its tensor 'w'"):
        read_contents(saved(tmp_path / "net.onnx", change=change), whole=False)


def shared_tables(count: int) -> bytes:
    """A TFLite file of 12 `count` bytes with `count` ** 3 numbers: its tables are used again."""
    builder = flatbuffers.Builder()
    shape = builder.CreateNumpyVector(np.ones(count, np.int32))
    schema.TensorStart(builder)
    schema.TensorAddShape(builder, shape)
    tensor = schema.TensorEnd(builder)
    schema.SubGraphStartTensorsVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_small_file_cannot_keep_its_reader_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(shared_tables(3000))
    assert path.stat().st_size < 40_000
    monkeypatch.setattr(contents, "SECONDS", 1)
    with pytest.raises(UserError, match="it takes more than 1 seconds of processor time"):
        read_contents(path, whole=False)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS sets no limit of memory")
def test_a_small_file_cannot_take_all_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bytes are an empty node, which takes a hundred in memory."""
    path = saved(tmp_path / "net.onnx")
    nodes = b"\x0a\x00" * 2_000_000
    length, size = b"", len(nodes)
    while size:
        length, size = length + bytes([size & 127 | (128 if size > 127 else 0)]), size >> 7
    path.write_bytes(b"\x3a" + length + nodes + path.read_bytes())
    monkeypatch.setattr(caged, "MEMORY", 2**27)
    with pytest.raises(UserError, match=r"needs more than .* GiB of memory|is not an ONNX file"):
        read_contents(path, whole=False)


def manifest_path(path: str) -> Change:
    def change(package: Path) -> None:
        file = package / "Manifest.json"
        document = json.loads(file.read_text())
        document["itemInfoEntries"][document["rootModelIdentifier"]]["path"] = path
        file.write_text(json.dumps(document))

    return change


def replaced(by: Callable[[Path, Path], None]) -> Change:
    """The model's file is moved away and replaced by something else."""

    def change(package: Path) -> None:
        place = model_path(package)
        other = package.parent / "elsewhere"
        place.rename(other)
        by(place, other)

    return change


def program(edit: Callable[[Any], None]) -> Change:
    """Every value that is stored in the weight file is changed."""

    def change(package: Path) -> None:
        model = read_model(package)
        for function in model.mlProgram.functions.values():
            for operation in function.block_specializations[function.opset].operations:
                for value in operation.attributes.values():
                    if value.WhichOneof("value") == "blobFileValue":
                        edit(value)
        model_path(package).write_bytes(model.SerializeToString())

    return change


def beyond(value: Any) -> None:
    value.blobFileValue.offset = 2**63


def enormous(value: Any) -> None:
    for axis in value.type.tensorType.dimensions:
        axis.constant.size = 2**62


def elsewhere(value: Any) -> None:
    value.blobFileValue.fileName = "@model_path/../../../../../etc/hostname"


def absolute(value: Any) -> None:
    value.blobFileValue.fileName = "/etc/hostname"


@needs_coremltools
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (manifest_path("../../secret"), "not a file inside it"),
        (manifest_path("/etc/hostname"), "not a file inside it"),
        (manifest_path(""), "not a file inside it"),
        (manifest_path("nowhere/model.mlmodel"), "No such file"),
        (replaced(lambda place, other: place.symlink_to(other)), "leads through a link"),
        (replaced(lambda place, other: os.mkfifo(place)), "is a pipe"),
        (replaced(lambda place, other: place.mkdir()), "is a folder"),
        (lambda package: (package / "Manifest.json").write_text("[" * 100_000), "nested too deep"),
        (lambda package: (package / "Manifest.json").write_text("{}"), "it has no entry"),
        (lambda package: next(package.rglob("weight.bin")).unlink(), "weight.bin' are missing"),
        (program(beyond), "its weights need"),
        (program(enormous), "its weights need"),
        (program(elsewhere), "not a file inside it"),
        (program(absolute), "not a file inside it"),
    ],
)
def test_a_package_never_leads_out_of_itself(
    exported: Make, tmp_path: Path, change: Change, says: str
) -> None:
    package = Path(shutil.copytree(exported("coreml", "fp32"), tmp_path / "net.mlpackage"))
    change(package)
    for read in (coreml_contents, MilProgram):
        with pytest.raises(UserError, match=r"net\.mlpackage is not a complete Core ML package"):
            read(package)
    with pytest.raises(UserError) as caught:
        coreml_contents(package)
    assert says in caught.value.what


@pytest.mark.slow(quick=[".tflite", ".onnx"])
@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".mlpackage"])
def test_no_suffix_makes_a_pipe_or_folder_a_model(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    report = api.inspect([tmp_path / f"pipe{suffix}", tmp_path / f"folder{suffix}"])
    assert len(report.errors) == 2
