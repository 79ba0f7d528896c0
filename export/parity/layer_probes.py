"""What the layers of an exported file compute, in its own runtime.

The outputs of its convolutions and of its linear layer are declared as outputs of a copy of the
file, so the runtime computes them as it always does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.baseline_nodes import clipped_at_once
from edgecmp.export.lowering.graph import Conv, Linear
from edgecmp.export.runtimes.runners import Batch, Runner

__all__ = ["layer_names", "layers"]

Floats = NDArray[np.float32]


def layer_names(network: LoweredNet, target: str) -> list[str]:
    """The values that are compared, in the order in which they are computed.

    TFLite shows what its operators give, after the activation that is fused into them.
    """
    fused = clipped_at_once(network.graph) if target == "tflite" else {}
    layers = [node for node in network.graph if isinstance(node, Conv | Linear)]
    return [fused.get(node.name, node).name for node in layers]


def layers(runner: Runner, names: Sequence[str], images: Batch) -> list[Floats] | None:
    """The outputs (N, C, H, W) or (N, D) of the layers `names` for images as the file reads them.

    None where the file's layers cannot be told apart: other ones, or another number of them.
    """
    if runner.target == "tflite":
        return _tflite(runner, names, images)
    if runner.target == "onnx":
        return _onnx(runner.path, names, images, pixels=runner.metadata.input == "image")
    return _coreml(runner.path, names, images)


def _tflite(runner: Runner, names: Sequence[str], images: Batch) -> list[Floats] | None:
    import importlib

    from edgecmp.export.targets.tflite.flatbuffer import with_outputs
    from edgecmp.quiet import quiet_native

    model = with_outputs(runner.path.read_bytes(), names)
    if model is None:
        return None
    interpreter_class = importlib.import_module(f"{runner.module}.interpreter").Interpreter  # type: ignore[attr-defined]
    with quiet_native():
        interpreter = interpreter_class(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
    found: list[list[Any]] = [[] for _ in names]
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        for place, details in enumerate(interpreter.get_output_details()):
            values = interpreter.get_tensor(details["index"]).astype(np.float32)
            scale, zero = details["quantization"]
            found[place].append((values - zero) * scale if scale else values)
    return [_channels_first(np.concatenate(parts)) for parts in found]


def _onnx(path: Path, names: Sequence[str], images: Batch, *, pixels: bool) -> list[Floats] | None:
    import onnx
    import onnxruntime

    model = onnx.load(path)
    if not set(names) <= {output for node in model.graph.node for output in node.output}:
        return None
    kept = {output.name for output in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in kept
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = images if pixels else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return [np.asarray(value, np.float32) for value in session.run(list(names), {"image": given})]


def _coreml(path: Path, names: Sequence[str], images: Batch) -> list[Floats] | None:
    """By the reference interpreter: Core ML itself shows no layers."""
    import torch

    from edgecmp.export.runtimes.mil.program import MilProgram

    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float()
    found = MilProgram(path).layers(image=planes[:, None])
    return [value[:, 0].numpy() for value in found] if len(found) == len(names) else None


def _channels_first(values: Floats) -> Floats:
    return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
