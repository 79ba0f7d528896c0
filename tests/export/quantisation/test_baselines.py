"""Integers in other people's networks: what is exact stays exact, runtimes compute the plan."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.export.formats.tflite.flatbuffer import with_outputs
from edgecmp.export.formats.tflite.graph import write_graph
from edgecmp.export.lowering import LoweredNet, lower
from edgecmp.export.lowering.graph import Conv
from edgecmp.export.parity.layer_probes import layer_names
from edgecmp.export.quantisation.equalise import equalise
from edgecmp.export.quantisation.fake_quant import simulate
from edgecmp.export.quantisation.observers import observe
from edgecmp.export.quantisation.quantise import quantise
from edgecmp.networks.baselines import BASELINES, random_baseline
from edgecmp.networks.random_weights import patch_images
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.runtimes import each_module

SIZE = 32
PREPARE = Preprocessing(input_size=SIZE)


def pictures(count: int, seed: int) -> NDArray[np.uint8]:
    """Pixels (N, S, S, 3)."""
    pixels = (patch_images(count, SIZE, seed) + 1) * 127.5
    return pixels.round().byte().permute(0, 2, 3, 1).contiguous().numpy()


@pytest.mark.parametrize("strength", [0.8, 1.0])
@pytest.mark.parametrize("name", [name for name in BASELINES if name != "resnet101"])
def test_equalising_changes_nothing_in_floats(name: str, strength: float) -> None:
    network = random_baseline(name, SIZE, 3).double()
    lowered = lower(network, input_size=SIZE)
    batch = PREPARE.normalise(pictures(4, 5)).double()
    graph, expected = equalise(lowered.graph, observe(lowered, [batch]), strength=strength)
    with torch.no_grad():
        assert (LoweredNet(graph)(batch) - network(batch)).abs().max() < 1e-10
    for value, found in observe(LoweredNet(graph), [batch]).items():
        torch.testing.assert_close(found.low, expected[value].low)
        torch.testing.assert_close(found.high, expected[value].high)
    kernels = [
        (node.weight - before.weight).abs().max()
        for node, before in zip(graph, lowered.graph, strict=True)
        if isinstance(node, Conv) and isinstance(before, Conv)
    ]
    assert max(kernels) > 1e-3  # else nothing was equalised


@each_module
@pytest.mark.parametrize(
    "name", ["mobilenetv2_wd2", "mobilenetv3_large_w1", "shufflenet_g1_w1", "shufflenetv2_w1"]
)
def test_the_runtime_computes_what_the_simulation_says(name: str, runtime: str) -> None:
    """Layer by layer while they are few, since a random network amplifies every rounding."""
    lowered = lower(random_baseline(name, SIZE, 0), input_size=SIZE, integers=True)
    graph, plan = quantise(lowered, pictures(32, 1), PREPARE)
    shown = PREPARE.normalise(pictures(4, 9))
    names = [name for name in layer_names(LoweredNet(graph), "tflite") if name in plan]
    expected = {node.name: value for node, value in simulate(graph, plan, shown)}
    model = write_graph(graph, store="int8", plan=plan, metadata={})
    found = outputs(runtime, model, names[:12], shown)
    for value, mine in found.items():
        theirs, step = expected[value].numpy(), float(plan[value].scale[0])
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).mean() < 2 * step, value
    last = outputs(runtime, model, [graph.nodes[-1].name], shown)[graph.nodes[-1].name]
    assert np.isfinite(last).all()
    assert (last * expected[graph.nodes[-1].name].numpy()).sum(1).mean() > 0.8


def outputs(
    runtime: str, model: bytes, names: list[str], images: Tensor
) -> dict[str, NDArray[np.float32]]:
    """The values (N, C, H, W) or (N, D) of these names, of images (N, 3, S, S)."""
    shown = with_outputs(model, names)
    assert shown is not None
    interpreter = importlib.import_module(f"{runtime}.interpreter").Interpreter(
        model_content=shown, num_threads=1
    )
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for image in images.permute(0, 2, 3, 1).contiguous().numpy():
        interpreter.set_tensor(place, image[None])
        interpreter.invoke()
        for name, details in zip(names, interpreter.get_output_details(), strict=True):
            value = interpreter.get_tensor(details["index"]).astype(np.float32)
            scale, zero = details["quantization"]
            value = (value - zero) * scale if scale else value
            found[name].append(value.transpose(0, 3, 1, 2) if value.ndim == 4 else value)
    return {name: np.concatenate(parts) for name, parts in found.items()}
