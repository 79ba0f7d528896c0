"""8-bit integers: each step alone is exact or bounded, and both runtimes compute what is meant."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from torch import Tensor

from edgecmp import kit
from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.export.formats.tflite.graph import write_graph
from edgecmp.export.formats.tflite.writer import tflite_bytes
from edgecmp.export.lowering import LoweredNet, lower
from edgecmp.export.lowering.graph import IMAGE, Conv
from edgecmp.export.quantisation.calibration import calibration_images
from edgecmp.export.quantisation.correct_bias import correct_bias
from edgecmp.export.quantisation.equalise import equalise
from edgecmp.export.quantisation.fake_quant import rounded, simulate
from edgecmp.export.quantisation.observers import batches, observe
from edgecmp.export.quantisation.pixels import centre_pixels
from edgecmp.export.quantisation.qparams import make_plan
from edgecmp.export.quantisation.quantise import quantise
from edgecmp.export.quantisation.shared_scales import affine_scale
from edgecmp.export.quantisation.weights import quantise_layer, quantise_weight
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.tiers import TIERS
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.runtimes import MODULES

MakeNetwork = Callable[[Architecture, int], QueryNet]
MakeImages = Callable[[int, int, int], Tensor]
Pixels = NDArray[np.uint8]

floats = st.floats(-1e4, 1e4, width=32)
architectures = st.builds(
    Architecture.random,
    st.sampled_from(list(TIERS)),
    seed=st.integers(0, 2**16),
    embedding_dim=st.just(16),
    input_size=st.sampled_from([64, 75]),
)


@pytest.fixture(scope="module")
def bundle() -> QueryBundle:
    return QueryBundle.load(kit.path("query"))


@pytest.fixture(scope="module")
def pictures(bundle: QueryBundle) -> Pixels:
    """Real training images."""
    found, about = calibration_images(bundle)
    assert about["images"] == len(found) == 512
    return found[:192]


@given(values=arrays.arrays(np.float32, (4, 3, 2), elements=floats), axis=st.integers(0, 2))
def test_weights_are_off_by_half_a_step(values: NDArray[np.float32], axis: int) -> None:
    integers, scale = quantise_weight(values, axis)
    shape = [1, 1, 1]
    shape[axis] = -1
    steps = scale.reshape(shape).astype(np.float64)
    assert np.abs(integers * steps - values).max() <= 0.5001 * steps.max()
    assert (np.abs(integers * steps - values) <= 0.5001 * steps + 1e-9).all()
    assert integers.min() >= -127


@given(
    values=arrays.arrays(np.float32, (4, 3), elements=floats),
    bias=arrays.arrays(np.float32, 4, elements=floats),
    incoming=st.floats(1e-6, 10),
)
def test_a_bias_fits_into_32_bits(
    values: NDArray[np.float32], bias: NDArray[np.float32], incoming: float
) -> None:
    _, integers, scale = quantise_layer(values, bias, axis=0, incoming=incoming)
    steps = scale.astype(np.float64) * incoming
    np.testing.assert_allclose(integers * steps, bias, atol=float(steps.max()), rtol=1e-5)
    assert np.abs(integers.astype(np.int64)).max() <= 2**30 * (1 + 1e-6)


@given(low=st.floats(-100, 0), high=st.floats(0, 100))
def test_a_scale_holds_zero_and_both_ends(low: float, high: float) -> None:
    scale = affine_scale(low, high)
    ends = torch.tensor([low, 0.0, high])
    step = float(scale.scale[0])
    assert (rounded(ends, scale) - ends).abs().max() <= 1.01 * step
    assert rounded(torch.zeros(1), scale) == 0


@pytest.mark.slow
@settings(max_examples=8)
@given(architecture=architectures, strength=st.sampled_from([0.3, 0.8, 1.0]))
def test_equalising_changes_nothing_in_floats(
    architecture: Architecture, strength: float, random_network: MakeNetwork, images: MakeImages
) -> None:
    network = random_network(architecture, 5).double()
    lowered = lower(network)
    batch = images(4, architecture.input_size, 6).double()
    before = observe(lowered, [batch])
    graph, expected = equalise(lowered.graph, before, strength=strength)
    equalised = LoweredNet(graph)
    with torch.no_grad():
        assert (equalised(batch) - network(batch)).abs().max() < 1e-10
    after = observe(equalised, [batch])
    spreads = []
    for name, found in after.items():
        torch.testing.assert_close(found.low, expected[name].low)
        torch.testing.assert_close(found.high, expected[name].high)
        if len(found.high) > 8 and name in {node.name for node in graph if isinstance(node, Conv)}:
            spreads.append([(r.high.clamp(min=1e-9).log()).std() for r in (before[name], found)])
    first, second = torch.tensor(spreads).mean(0)
    assert second < first


def test_pixels_are_centred_exactly_but_for_the_padding(
    bundle: QueryBundle, pictures: Pixels
) -> None:
    lowered = lower(bundle.network, pixels=bundle.preprocessing, input_size=64)
    graph, zero = centre_pixels(lowered.graph)
    assert zero == 128
    (pixels,) = list(batches(lowered, pictures[:64], bundle.preprocessing))
    [stem] = [name for name in graph.shapes() if name == "stem"]
    expected = next(value for node, value in lowered.each(pixels) if node.name == stem)
    centred = LoweredNet(graph)
    found = next(value for node, value in centred.each(pixels - zero) if node.name == stem)
    inside = (..., slice(1, None), slice(1, None))  # stride 2: padding shows in the first row
    torch.testing.assert_close(found[inside], expected[inside], atol=1e-4, rtol=0)
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()
    with pytest.raises(ValueError, match="fold_scale"):
        centre_pixels(
            lower(bundle.network, pixels=bundle.preprocessing, without=("fold_scale",)).graph
        )


def test_correcting_the_biases_takes_the_shift_away(bundle: QueryBundle, pictures: Pixels) -> None:
    lowered = lower(bundle.network, input_size=64)
    inputs = list(batches(lowered, pictures, bundle.preprocessing))
    graph, ranges = equalise(lowered.graph, observe(lowered, inputs))
    plan = make_plan(graph, ranges, "pool")
    batch = torch.cat(inputs)
    exact = {
        node.name: value.mean((0, 2, 3))
        for node, value in LoweredNet(graph).each(batch)
        if value.ndim == 4
    }
    shifts = []
    for corrected in (graph, correct_bias(graph, plan, batch)):
        off = [
            (
                (value.mean((0, 2, 3)) - exact[node.name]).abs() / float(plan[node.name].scale[0])
            ).mean()
            for node, value in simulate(corrected, plan, batch)
            if isinstance(node, Conv)
        ]
        shifts.append(torch.stack(off).mean())
    assert shifts[1] < 0.5 * shifts[0]


@pytest.mark.parametrize("reads", ["tensor", "image"])
def test_the_runtime_computes_what_the_simulation_says(
    reads: str, bundle: QueryBundle, pictures: Pixels
) -> None:
    """The plan, computed twice: by our simulation in floats and by LiteRT in integers."""
    pixels = bundle.preprocessing if reads == "image" else None
    lowered = lower(bundle.network, input_size=64, pixels=pixels, integers=True)
    graph, plan = quantise(lowered, pictures, bundle.preprocessing)
    interpreter = Interpreter(
        model_content=write_graph(graph, store="int8", plan=plan, metadata={}),
        num_threads=1,
    )
    interpreter.allocate_tensors()
    shown = pictures[:4]
    (inputs,) = list(batches(lowered, shown, bundle.preprocessing))
    centre = plan[IMAGE].zero_point + 128 if reads == "image" else 0
    expected = list(simulate(graph, plan, inputs - centre))[-1][1]
    place = interpreter.get_input_details()[0]["index"]
    for row, image in enumerate(shown):
        given_image = image if reads == "image" else inputs[row].permute(1, 2, 0).numpy()
        interpreter.set_tensor(place, np.ascontiguousarray(given_image[None]))
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        assert found @ expected[row].numpy() > 0.995


@settings(max_examples=6)
@given(architecture=architectures)
def test_any_network_loads_and_runs_in_integers(
    architecture: Architecture, random_network: MakeNetwork
) -> None:
    """The runtimes bound the ratios of scales; no plan of ours may leave them."""
    network = random_network(architecture, 1)
    size = architecture.input_size
    shown = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8)
    model = tflite_bytes(
        lower(network, integers=True),
        precision="int8",
        images=shown,
        preprocessing=Preprocessing(input_size=size),
    )
    for module in MODULES:
        kind = importlib.import_module(f"{module}.interpreter").Interpreter
        interpreter = kind(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-3)
