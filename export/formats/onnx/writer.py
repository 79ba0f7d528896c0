"""ONNX: opset 18, written from the graph and simplified by onnxsim.

Input `image`: float32 (N, 3, S, S), already normalised, or the images themselves, uint8
(N, S, S, 3) RGB; output `embedding`, float32 (N, D), unit length; N is free. With fp16 the weights
are stored as float16, each behind a Cast: ONNX Runtime resolves the casts once, when it loads the
file, and computes in float32. Its CPU provider has no float16 convolutions; a file in float16
throughout would run as float32 between two casts per layer, which rounds each activation without
any gain in speed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecmp.export.formats.onnx.parse import parse_onnx
from edgecmp.export.formats.registry import Job, register_target
from edgecmp.export.guarded_open import no_metadata
from edgecmp.export.quantisation.fp16 import to_float16
from edgecmp.files import write_atomic
from edgecmp.integrity import KEY

if TYPE_CHECKING:
    import onnx

    from edgecmp.export.lowering import LoweredNet

__all__ = ["onnx_model", "read_onnx", "store_float16_weights", "write_onnx"]


def read_onnx(path: Path) -> bytes:
    """The metadata document of an .onnx file that edgecmp exported; see `Target.read`."""
    for entry in parse_onnx(path).metadata_props:
        if entry.key == KEY:
            return str(entry.value).encode()
    raise no_metadata(path, "onnx")


@register_target(
    "onnx",
    suffix=".onnx",
    precisions=("fp32", "fp16"),
    packages=("onnx", "onnxsim"),
    # ONNX Runtime is fast at 7x7 kernels, joins any number of tensors, and pads like torch
    without=("narrow_concat", "split_depthwise", "pad_stride2"),
    read=read_onnx,
)
def write_onnx(job: Job, path: Path) -> None:
    """Converts the lowered network and writes the file; see `Target.write`."""
    model = onnx_model(job.network)
    if job.metadata.precision == "fp16":
        store_float16_weights(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, job.metadata.write().decode()
    write_atomic(path, model.SerializeToString(deterministic=True))


def onnx_model(network: LoweredNet) -> onnx.ModelProto:
    """The model of a lowered network, checked, with the shapes of all values and no metadata."""
    import onnx
    import onnxsim

    from edgecmp.export.formats.onnx.graph import write_graph

    model: onnx.ModelProto = onnxsim.simplify(write_graph(network.graph))[0]
    onnx.checker.check_model(model, full_check=True)
    return model


def store_float16_weights(model: onnx.ModelProto) -> None:
    """Stores each matrix and kernel as float16 behind a Cast; biases stay float32.

    Args:
        model: is changed.

    Raises:
        UserError: a weight exceeds the range of float16.
    """
    import onnx

    casts: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        name = tensor.name
        values = to_float16(name, onnx.numpy_helper.to_array(tensor))
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}.fp16"))
        casts.append(
            onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
