"""The outputs of the layers of an exported file, computed in its own runtime.

The outputs of its convolutions and of its linear layer are declared as outputs of a copy of the
file, so the runtime computes them exactly as for the file itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgecmp.export.lowering import LoweredNet
from edgecmp.export.lowering.baseline_nodes import fused_activations
from edgecmp.export.lowering.graph import Conv, Linear
from edgecmp.export.runtimes.openers import open_mil_program, open_onnx, open_tflite
from edgecmp.export.runtimes.runner import Batch, Runner, channels_first
from edgecmp.export.runtimes.runners import TfliteRunner

__all__ = ["layer_names", "layer_outputs"]

Floats = NDArray[np.float32]


def layer_names(network: LoweredNet, target: str) -> list[str]:
    """Names of the values that are compared, in the order in which they are computed.

    In TFLite the output of an operator is that of the activation fused into it.
    """
    fused = fused_activations(network.graph) if target == "tflite" else {}
    layers = [node for node in network.graph if isinstance(node, Conv | Linear)]
    return [fused.get(node.name, node).name for node in layers]


def layer_outputs(runner: Runner, names: Sequence[str], images: Batch) -> list[Floats] | None:
    """The outputs (N, C, H, W) or (N, D) of layers.

    Args:
        runner: the file.
        names: of the layers.
        images: inputs of the file, (N, S, S, 3).

    Returns:
        One array per layer; None if the file has other layers.
    """
    if isinstance(runner, TfliteRunner):
        return _tflite(runner, names, images)
    if runner.target == "onnx":
        reads_pixels = runner.metadata.input == "image"
        return _onnx(runner.path, names, images if reads_pixels else channels_first(images))
    return _coreml(runner.path, names, images)


def _tflite(runner: TfliteRunner, names: Sequence[str], images: Batch) -> list[Floats] | None:
    from edgecmp.export.formats.tflite.flatbuffer import with_outputs

    model = with_outputs(runner.path.read_bytes(), names)
    if model is None:
        return None
    interpreter = open_tflite(model, module=runner.module, package=runner.package)
    outputs: list[list[Floats]] = [[] for _ in names]
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        for output, details in zip(outputs, interpreter.get_output_details(), strict=True):
            output.append(_dequantised(interpreter.get_tensor(details["index"]), details))
    return [np.concatenate(output) for output in outputs]


def _dequantised(tensor: NDArray[Any], details: dict[str, Any]) -> Floats:
    """A tensor of TFLite as floats with its channels first."""
    values: Floats = tensor.astype(np.float32)
    scale, zero_point = details["quantization"]
    if scale:
        values = (values - zero_point) * scale
    return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values


def _onnx(path: Path, names: Sequence[str], image: NDArray[Any]) -> list[Floats] | None:
    import onnx

    model = onnx.load(path)
    if not set(names) <= {output for node in model.graph.node for output in node.output}:
        return None
    declared = {output.name for output in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in declared
    )
    values = open_onnx(model.SerializeToString()).run(list(names), {"image": image})
    return [np.asarray(value, np.float32) for value in values]


def _coreml(path: Path, names: Sequence[str], images: Batch) -> list[Floats] | None:
    """In the reference runner, since Core ML does not expose its layers."""
    calls = torch.from_numpy(channels_first(images)).float()[:, None]  # (N, 1, 3, S, S)
    outputs = open_mil_program(path).layers(image=calls)
    return [output[:, 0].numpy() for output in outputs] if len(outputs) == len(names) else None
