"""The size of the images that are timed: the file's own, or what is known about it, or demanded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgecmp.benchmarks import BenchPlan, bench
from edgecmp.benchmarks.bench.stated import parse_input_size, stated
from edgecmp.benchmarks.devices import LocalDevice
from edgecmp.benchmarks.devices.on_device.runner import RefusedError, call_shape
from edgecmp.benchmarks.devices.tflite_inputs import tflite_inputs
from edgecmp.errors import UserError
from edgecmp.export.formats.tflite.writer import tflite_bytes
from edgecmp.preprocessing import Preprocessing
from tests.benchmarks.devices.test_device import one_convolution
from tests.fixtures.runtimes import available
from tests.testbeds.benchmark_model import program
from tests.testbeds.phone import device_name, only_tools, phone

PLAN = BenchPlan(runs=4, rounds=1)

Axes = Sequence[int | str | None]


def onnx_file(path: Path, axes: Axes, *, channels_axis: int = 1) -> Path:
    """A convolution (or the sum over the last axis) whose input has these axes."""
    weight = np.ones((8, 3, 3, 3), np.float32)
    constants, names = [], ["x"]
    if channels_axis == 1:
        node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
        constants = [numpy_helper.from_array(weight, "w")]
    else:
        node = helper.make_node("Relu", names, ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, axes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)
    return path


def tflite_file(path: Path, axes: Axes) -> Path:
    """A convolution whose input and output have these axes, as converters write them."""
    model = schema.ModelT.InitFromPackedBuf(tflite_bytes(one_convolution(8)), 0)
    graph = model.subgraphs[0]
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensors[index]
        wanted = [*axes[:3], axes[3] if index in graph.inputs else 8]
        tensor.shapeSignature = [size if isinstance(size, int) else -1 for size in wanted]
        tensor.shape = [max(size, 1) for size in tensor.shapeSignature]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def shapes(*files: Path, **options: Any) -> set[str]:
    """The input shapes of the rows of all runtimes that are here."""
    rows = available(bench(files, plan=options.pop("plan", PLAN), **options).rows)
    assert {row["verdict"] for row in rows} == {"measured"}, [row["reason"] for row in rows]
    return {row["input_shape"] for row in rows}


def sized(height: int, width: int) -> BenchPlan:
    return BenchPlan(runs=4, rounds=1, input_size=(height, width))


def test_the_size_of_a_file_is_its_own(tmp_path: Path) -> None:
    file = onnx_file(tmp_path / "a.onnx", ["N", 3, 24, 40])
    assert shapes(file) == {"1x3x24x40"}
    assert shapes(tflite_file(tmp_path / "a.tflite", [None, 24, 40, 3])) == {"1x24x40x3"}


@pytest.mark.parametrize("axes", [["N", 3, "H", "W"], [1, 3, "H", 40], [None, 3, None, None]])
def test_a_free_size_is_demanded_of_onnx(axes: Axes, tmp_path: Path) -> None:
    file = onnx_file(tmp_path / "a.onnx", axes)
    with pytest.raises(UserError, match=r"a\.onnx cannot be timed: the height and width of its in"):
        bench([file], plan=PLAN)
    assert shapes(file, plan=sized(24, 40)) == {"1x3x24x40"}


def test_a_free_size_is_demanded_of_tflite(tmp_path: Path) -> None:
    file = tflite_file(tmp_path / "a.tflite", [None, None, None, 3])
    with pytest.raises(UserError, match=r"name them with --input-size, such as --input-size 224"):
        bench([file], plan=PLAN)
    assert shapes(file, plan=sized(24, 40)) == {"1x24x40x3"}


def test_channels_may_be_last_in_onnx(tmp_path: Path) -> None:
    file = onnx_file(tmp_path / "a.onnx", ["N", "H", "W", 3], channels_axis=3)
    assert shapes(file, plan=sized(24, 40)) == {"1x24x40x3"}


def test_a_free_size_reaches_benchmark_model(
    adb_client: None, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    file = tflite_file(tmp_path / "a.tflite", [None, None, None, 3])
    tool, path = program(tmp_path / "benchmark_model"), only_tools(tmp_path / "tools")
    with phone(tmp_path / "phone", path=path) as daemon:
        name = device_name(daemon, benchmark_model=str(tool))
        result = edgecmp("bench", "--device", name, file)
        assert result.code == 2
        assert "the height and width of its input ?x?x?x3 are free" in result.err
        options = ("--input-size", "24x40", "--runtime", "benchmark_model")
        result = edgecmp("bench", "--device", name, file, *options, "--json", tmp_path / "b.json")
        assert result.code == 0, result.err
        (row,) = json.loads((tmp_path / "b.json").read_text())["rows"]
        assert (row["input_shape"], row["images_per_call"]) == ("1x24x40x3", 1)
        flags = "--input_layer=image --input_layer_shape=1,24,40,3"
        assert sum(flags in command for command in daemon.commands) >= 4
        fixed = tflite_file(tmp_path / "fixed.tflite", [2, 24, 40, 3])
        result = edgecmp("bench", "--device", name, fixed, "--json", tmp_path / "b.json")
        rows = json.loads((tmp_path / "b.json").read_text())["rows"]
        assert ("2x24x40x3", 2) in {(row["input_shape"], row["images_per_call"]) for row in rows}
        assert sum("--input_layer" in command for command in daemon.commands) == 5


def test_a_free_size_has_no_profile(tmp_path: Path) -> None:
    file = tflite_file(tmp_path / "a.tflite", [None, None, None, 3])
    (profile,) = bench([file], plan=sized(16, 16), profiles=True).profiles
    assert profile["reason"] == "LiteRT's profiler runs only files that fix the size of their input"
    (profile,) = bench([file, file], plan=sized(16, 16), profiles=True).profiles


def test_a_larger_image_takes_longer(tmp_path: Path) -> None:
    """So the size does reach the runtimes."""
    for file in (
        onnx_file(tmp_path / "a.onnx", ["N", 3, "H", "W"]),
        tflite_file(tmp_path / "a.tflite", [None, None, None, 3]),
    ):
        small, large = (
            {row["runtime"]: row["min_ms"] for row in available(bench([file], plan=plan).rows)}
            for plan in (sized(16, 16), sized(256, 256))
        )
        assert all(large[name] > 5 * small[name] for name in small)


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        (["N", "C", "H", "W"], r"its input \?x\?x\?x\? does not show which axis has the channels"),
        (["N", "C", 8, 8], r"its input \?x\?x8x8 does not show which axis has the channels"),
        (["N", 3, 24, "W"], r"its input is \?x3x24x\?, so it cannot be timed at 48x40"),
        ([1, 3, 24, 24], "its input is 1x3x24x24, so it cannot be timed at 48x40"),
    ],
)
def test_an_input_that_is_no_image_of_that_size(axes: Axes, says: str, tmp_path: Path) -> None:
    file = onnx_file(tmp_path / "a.onnx", axes)
    with pytest.raises(UserError, match=f"cannot be timed: {says}"):
        bench([file], plan=sized(48, 40))


def test_a_size_on_which_the_network_does_not_run(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((8, 3, 9, 9), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(UserError, match="it does not run on an input of 1x3x4x4 "):
        bench([tmp_path / "a.onnx"], plan=sized(4, 4))
    assert shapes(tmp_path / "a.onnx", plan=sized(16, 16)) == {"1x3x16x16"}


@pytest.mark.parametrize(
    ("name", "text", "shape"),
    [
        ("a.toml", 'onnx = "a.onnx"\ninput_size = 40', "1x3x40x40"),
        ("other.toml", 'onnx = "a.onnx"\ninput_size = [24, 40]', "1x3x24x40"),
        ("other.toml", 'onnx = "b.onnx"\ninput_size = 40', None),
        ("a.toml", "this is no TOML", None),
    ],
)
def test_a_description_states_the_size(
    name: str, text: str, shape: str | None, tmp_path: Path
) -> None:
    file = onnx_file(tmp_path / "a.onnx", ["N", 3, "H", "W"])
    (tmp_path / name).write_text(text)
    if shape is not None:
        assert shapes(file) == {shape}
        assert shapes(file, plan=sized(16, 8)) == {"1x3x16x8"}
        return
    with pytest.raises(UserError, match="name them with --input-size"):
        bench([file], plan=PLAN)


@pytest.mark.parametrize("size", ["0", "10e30", f"{10**30}", "[8, 8, 8]", '"64"', "true"])
def test_a_description_with_an_impossible_size(size: str, tmp_path: Path) -> None:
    file = onnx_file(tmp_path / "a.onnx", ["N", 3, "H", "W"])
    (tmp_path / "a.toml").write_text(f"input_size = {size}")
    with pytest.raises(UserError, match=r"a\.toml states the input_size .*which images cannot"):
        bench([file], plan=PLAN)


def test_the_metadata_states_precision_and_size() -> None:
    document = {
        "architecture": {},
        "format": "edgecmp-export/3",
        "precision": "int8",
        "preprocessing": Preprocessing(input_size=48, width=64).to_dict(),
    }
    content = b'{"format": [' + b"[" * 5000 + json.dumps(document).encode() + b"\0\xff"
    assert stated(Path("no/such/file.onnx"), content) == ("int8", (48, 64))
    assert stated(Path("no/such/file.onnx"), content[:-30]) == (None, None)


def test_a_fixed_batch_is_timed_per_call(tmp_path: Path) -> None:
    file = onnx_file(tmp_path / "a.onnx", [4, 3, 24, 24])
    report = bench([file], plan=PLAN)
    (row,) = report.rows
    assert (row["input_shape"], row["images_per_call"]) == ("4x3x24x24", 4)
    sentence = f"{file} computes 4 images per call: its times are per call, not per image."
    assert sentence in report.sentences()
    assert "4x3x24x24" in str(report)


def test_a_fixed_batch_computes_any_number_of_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((6, 3, 8, 8)).astype(np.float32)
    device = LocalDevice()
    files = (
        onnx_file(tmp_path / "4.onnx", [4, 3, 8, 8]),
        onnx_file(tmp_path / "free.onnx", ["N", 3, "H", "W"]),
    )
    fixed, free = (device.compute(file, images, runtime="onnxruntime") for file in files)
    assert fixed.shape == (6, 8, 8, 8)
    assert np.array_equal(fixed, free)


def test_an_interrupted_bench_of_another_size_is_not_resumed(tmp_path: Path) -> None:
    file, keep = onnx_file(tmp_path / "a.onnx", ["N", 3, "H", "W"]), tmp_path / "kept.json"
    description = tmp_path / "a.toml"
    plan = BenchPlan.of(sustained=0.005)
    description.write_text("input_size = 16")
    document = bench([file], plan=plan).to_dict() | {"complete": False}
    keep.write_text(json.dumps(document))
    assert bench([file], plan=plan, keep=keep).rows == document["rows"]
    description.write_text("input_size = 24")
    (row,) = bench([file], plan=plan, keep=keep).rows
    assert row["input_shape"] == "1x3x24x24"


def test_the_option_of_the_command(tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    file = onnx_file(tmp_path / "a.onnx", ["N", 3, "H", "W"])
    result = edgecmp("bench", file, "--input-size", "24x40", "--json", tmp_path / "a.json")
    assert result.code == 0, result.err
    assert "1x3x24x40" in result.out
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["settings"]["input_size"] == [24, 40]
    result = edgecmp("bench", file, "--input-size", "big")
    assert result.code == 2
    assert "--input-size must be a number of pixels or height x width (got 'big')" in result.err


@pytest.mark.parametrize(
    ("text", "size"), [("224", (224, 224)), (" 24x40 ", (24, 40)), ("24X40", (24, 40))]
)
def test_sizes_are_parsed(text: str, size: tuple[int, int]) -> None:
    assert parse_input_size(text) == size


@given(st.one_of(st.text(max_size=12), st.text(alphabet="0123456789xX* ", max_size=12)))
def test_every_text_is_a_size_or_one_sentence(text: str) -> None:
    size = (1, 1)
    message = ""
    try:
        size = parse_input_size(text)
    except UserError as error:
        message = str(error)
    assert "\n" not in message
    assert all(1 <= side <= 4096 for side in size)


@given(
    st.lists(st.one_of(st.none(), st.integers(1, 9)), max_size=5),
    st.one_of(st.none(), st.tuples(st.integers(1, 9), st.integers(1, 9))),
)
def test_a_call_has_the_shape_of_the_file(axes: list[int | None], size: Any) -> None:
    """Whatever is fixed stays, and a free height or width is never made up."""
    try:
        shape = call_shape(axes, size)
    except RefusedError:
        return
    assert len(shape) == len(axes)
    assert all(axis in (None, found) for axis, found in zip(axes, shape, strict=True))
    if None in axes[1:]:
        assert size in (tuple(shape[1:3]), tuple(shape[2:]))
    if axes and axes[0] is None:
        assert shape[0] == 1


@given(st.data())
def test_a_damaged_flatbuffer_is_read_or_refused(data: st.DataObject) -> None:
    whole = tflite_bytes(one_convolution(2))
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole[: data.draw(st.sampled_from([len(whole), place]))])
    if changed:
        changed[min(place, len(changed) - 1)] ^= data.draw(st.integers(1, 255))
    try:
        found = tflite_inputs(bytes(changed))
    except ValueError:
        return
    assert all(isinstance(entry.name, str) for entry in found)
