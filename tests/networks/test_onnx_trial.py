"""ONNX files of other tools are loaded in a child process first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgecmp import caged
from edgecmp.errors import UserError
from edgecmp.networks.onnx_trial import try_onnx


def saved(path: Path, nodes: Sequence[NodeProto], *, opset: int = 18) -> Path:
    """A network from x (N, 3, 8, 8) to y."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array([2**23, 1, 8, 8], np.int64), "huge"),
            numpy_helper.from_array(np.ones((1, 1, 8, 8), np.float32), "one"),
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opsets), path)
    return path


RELU = helper.make_node("Relu", ["x"], ["y"])


def test_a_good_file_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    real = caged.call

    def count(function: str, path: Path, **limits: int) -> object:
        tried.append(path)
        return real(function, path, **limits)

    monkeypatch.setattr(caged, "call", count)
    path = saved(tmp_path / "net.onnx", [RELU])
    try_onnx(path)
    try_onnx(path)
    assert tried == [path]
    saved(path, [RELU, helper.make_node("Relu", ["x"], ["z"])])
    try_onnx(path)
    assert tried == [path, path]


@pytest.mark.parametrize("fault", ["opset", "truncated"])
def test_what_does_no_harm_is_left_to_the_caller(tmp_path: Path, fault: str) -> None:
    path = saved(tmp_path / "net.onnx", [RELU], opset=99 if fault == "opset" else 18)
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:-9])
    try_onnx(path)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS sets no limit of memory")
@pytest.mark.parametrize("when", ["load", "run"])
def test_a_file_that_takes_all_memory_is_refused(tmp_path: Path, when: str) -> None:
    """4 GiB, by a file of 300 bytes: computed when it is loaded, or when it is run."""
    given = "x" if when == "run" else "one"
    nodes = [
        helper.make_node("Expand", [given, "huge"], ["values"]),
        helper.make_node("ReduceSum", ["values"], ["sum"]),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    path = saved(tmp_path / "net.onnx", nodes)
    with pytest.raises(UserError, match=r"needs more than 1\.0 GiB of memory"):
        try_onnx(path)
