"""Files that no runtime runs: each has its reason, and the others of a bench are measured."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from edgecmp.benchmarks import BenchPlan, bench
from edgecmp.benchmarks.devices import LocalDevice
from edgecmp.benchmarks.devices.reasons import explain
from edgecmp.errors import UserError
from edgecmp.export.formats.tflite.writer import tflite_bytes
from tests.benchmarks.bench.test_bench import tflite  # noqa: F401 (a fixture)
from tests.benchmarks.devices.test_device import one_convolution
from tests.fixtures.runtimes import available

PLAN = BenchPlan(runs=4, rounds=2)


def relu(**options: Any) -> onnx.ModelProto:
    """An ONNX model with one node; every part may be replaced."""
    kind = options.get("kind", TensorProto.FLOAT)
    shape: list[int | str | None] = ["N", 3, 8, 8]
    names = options.get("inputs", ["x"])
    node = options.get("node") or helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name in names],
        [helper.make_tensor_value_info("y", kind, None)],
        options.get("constants", []),
    )
    opsets = [helper.make_opsetid("", options.get("opset", 18)), helper.make_opsetid("my.ops", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=options.get("ir", 8))


def changed(change: Callable[[Any], None]) -> bytes:
    """A .tflite file with one convolution, after a change of its model."""
    model = schema.ModelT.InitFromPackedBuf(tflite_bytes(one_convolution(8)), 0)
    change(model)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def refusal(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        bench([path], plan=PLAN)
    assert caught.value.what.startswith(f"{path} cannot be timed: ")
    assert "\n" not in caught.value.what
    return caught.value


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ir": 99}, "its IR version 99 is newer than those that onnxruntime "),
        ({"opset": 99}, "its opset 99 of ai.onnx is newer than those that onnxruntime "),
        (
            {"inputs": ["x", "z"], "node": helper.make_node("Add", ["x", "z"], ["y"])},
            "it has 2 inputs (x: float32, z: float32), not one image",
        ),
        ({"kind": TensorProto.INT64}, "its input is x: tensor(int64), not an image of float32, "),
        ({"kind": TensorProto.DOUBLE}, "its input is x: tensor(double), not an image of float32,"),
        (
            {"node": helper.make_node("Foo", ["x"], ["y"], domain="my.ops")},
            "it uses the operator Foo of my.ops, which onnxruntime ",
        ),
        (
            {"node": helper.make_node("Fooo", ["x"], ["y"])},
            "it uses the operator Fooo, which is not in opset 18",
        ),
    ],
)
def test_a_whole_onnx_file_has_its_reason(
    options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.onnx"
    onnx.save(relu(**options), path)
    error = refusal(path)
    assert says in error.what
    assert "damaged" not in str(error)
    assert error.way_out.startswith("Correct what is named")


def test_weights_in_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    weight = numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")
    model = relu(node=helper.make_node("Conv", ["x", "w"], ["y"]), constants=[weight])
    onnx.save_model(
        model, path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    (row,) = bench([path], plan=PLAN).rows
    assert row["verdict"] == "measured"
    (tmp_path / "weights.bin").unlink()
    assert "its weights are in another file, weights.bin, which is not" in refusal(path).what


@pytest.mark.parametrize(
    "message",
    [
        "[ONNXRuntimeError] : 1 : FAIL : Load model from /a/b.onnx failed:Deserialize tensor w "
        "failed. open file /a/weights.bin fail, errcode = 2 - unknown error",
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: filesystem "
        "error: cannot get file size: No such file or directory [/a/weights.bin]",
        '[ONNXRuntimeError] : 1 : FAIL : External data path does not exist: "/a/weights.bin"',
    ],
)
def test_the_messages_of_several_versions_about_missing_weights(message: str) -> None:
    assert explain(message, "onnxruntime 1.18.0").startswith(
        "its weights are in another file, weights.bin, which is not beside it"
    )


def test_a_file_that_takes_all_the_memory(tmp_path: Path) -> None:
    """It has a constant of four terabytes in a few bytes."""
    count = numpy_helper.from_array(np.array([2**40], np.int64), "count")
    nodes = [
        helper.make_node("ConstantOfShape", ["count"], ["c"]),
        helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0),
        helper.make_node("Add", ["x", "m"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [count],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "a.onnx")
    assert "it takes more memory than is free there" in refusal(tmp_path / "a.onnx").what


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells free memory")
def test_a_runtime_gets_no_more_memory_than_is_free() -> None:
    """An allocation beyond it fails in the runner, instead of the machine running out."""
    code = (
        "from edgecmp.benchmarks.devices.on_device import runner\n"
        "import numpy\n"
        "meminfo = open('/proc/meminfo').read()\n"
        "free = int(meminfo.partition('MemAvailable:')[2].split()[0])\n"
        "runner.limit_memory()\n"
        "numpy.empty(free * 256, numpy.uint8)\n"  # a quarter of it
        "try: numpy.empty(free * 2048, numpy.uint8)\n"
        "except MemoryError: print('refused')\n"
    )
    device = LocalDevice()
    assert device.run([device.python, "-c", code]) == "refused\n"


def newer_operator(model: Any) -> None:
    model.operatorCodes[0].version = 99


def unknown_operator(model: Any) -> None:
    model.operatorCodes[0].builtinCode, model.operatorCodes[0].deprecatedBuiltinCode = 900, 127


def custom_operator(model: Any) -> None:
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"Mine"


def second_input(model: Any) -> None:
    graph = model.subgraphs[0]
    second = copy.copy(graph.tensors[graph.inputs[0]])
    second.name = b"second"
    graph.tensors.append(second)
    graph.inputs = [*graph.inputs, len(graph.tensors) - 1]


def other_type(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema.TensorType.INT64


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (newer_operator, "it uses version 99 of the operator CONV_2D, which is newer than litert "),
        (unknown_operator, "it uses operator number 900, which is newer than litert "),
        (custom_operator, "it uses the custom operator Mine, which litert "),
        (second_input, "it has 2 inputs (image: float32, second: float32), not one image"),
        (other_type, "its input is image: int64, not an image of float32, float16, uint8, int8"),
    ],
)
def test_a_whole_tflite_file_has_its_reason(
    change: Callable[[Any], None], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(changed(change))
    error = refusal(path)
    assert says in error.what
    assert "damaged" not in str(error)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tflite", tflite_bytes(one_convolution(8))[:200]),
        ("a.tflite", b""),
        ("a.tflite", b"<html>404</html>"),
        ("a.onnx", relu().SerializeToString()[:-3]),
        ("a.onnx", b""),
        ("a.onnx", b"<html>404</html>"),
    ],
)
def test_a_damaged_file_is_called_damaged(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(path)
    assert "it is truncated or damaged (" in error.what
    assert error.way_out.startswith("Copy it again")


def test_bad_files_do_not_end_a_bench_of_several(
    tmp_path: Path,
    edgecmp: Callable[..., Any],
    tflite: Path,  # noqa: F811
) -> None:
    whole = tmp_path / "whole.onnx"
    onnx.save(relu(), whole)
    newer = tmp_path / "newer.onnx"
    onnx.save(relu(ir=99), newer)
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(whole.read_bytes()[:-3])
    flipped = tmp_path / "flipped.tflite"
    content = bytearray(tflite.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    report = tmp_path / "bench.json"
    result = edgecmp("bench", newer, cut, flipped, whole, "--json", report)
    assert result.code == 1
    rows = available(json.loads(report.read_text())["rows"])
    found = {Path(row["file"]).name: (row["verdict"], row["reason"]) for row in rows}
    assert found["whole.onnx"] == ("measured", "")
    assert found["newer.onnx"][1].startswith("its IR version 99 is newer")
    assert found["cut.onnx"][1].startswith("it is truncated or damaged")
    assert found["flipped.tflite"] == ("failed", "it was changed since it was written")
    assert f"failed: {flipped} in litert: it was changed since it was written" in result.out
    result = edgecmp("bench", newer, cut)
    assert result.code == 2
    assert f"{newer} cannot be timed: its IR version 99 is newer" in result.err
    assert f"; {cut} cannot be timed: it is truncated or damaged" in result.err


def test_a_refused_file_has_no_profile(tmp_path: Path) -> None:
    cut, whole = tmp_path / "cut.tflite", tmp_path / "whole.tflite"
    whole.write_bytes(tflite_bytes(one_convolution(8)))
    cut.write_bytes(whole.read_bytes()[:200])
    bad, good = bench([cut, whole], plan=PLAN, profiles=True).profiles
    assert (bad["reason"], bad["operators"]) == ("it could not be timed", [])
    assert good["reason"] == ""


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".mlpackage"])
def test_what_is_no_file(suffix: str, tmp_path: Path) -> None:
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    wrong = [pipe, *([folder] if suffix != ".mlpackage" else [])]
    for path in wrong:
        with pytest.raises(UserError, match=r" is not a (file|folder, as Core ML packages are)\."):
            bench([path], plan=PLAN)
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(
            UserError, match=r"cannot be read: .*(File name too long|embedded null)"
        ):
            bench([tmp_path / f"{name}{suffix}"], plan=PLAN)
