"""Float16 is made safe where a network needs it, and left alone where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.errors import UserError
from edgecmp.export.formats.coreml import writer as coreml
from edgecmp.export.formats.registry import Job
from edgecmp.export.lowering import LoweredNet, lower
from edgecmp.export.lowering.graph import Conv, Linear
from edgecmp.export.metadata import Metadata
from edgecmp.export.quantisation.fp16_safety import LIMIT, Fp16Safety, check_fp16
from edgecmp.export.quantisation.fp16_simulation import Fp16Simulation
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.preprocessing import Preprocessing
from tests.export.export_metadata import metadata_of

MakeImages = Callable[[int, int, int], Tensor]
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def harmless(query_folder: Path) -> LoweredNet:
    return lower(QueryBundle.load(query_folder).network, without=("split_depthwise",))


@pytest.fixture(scope="module")
def pixels(images: MakeImages) -> Pixels:
    pictures = (images(12, 64, 1) + 1) * 127.5
    return pictures.byte().permute(0, 2, 3, 1).contiguous().numpy()


def scaled(network: LoweredNet, factor: float) -> tuple[LoweredNet, set[str]]:
    """The same function, with the values between two convolutions `factor` times as large."""
    nodes = list(network.graph)
    for first in nodes:
        readers = [node for node in nodes if first.name in node.inputs]
        if isinstance(first, Conv) and first.relu and len(readers) == 1:
            (second,) = readers
            if isinstance(second, Conv):
                break
    else:
        raise AssertionError("no convolution feeds one other convolution alone")
    larger = replace(first, weight=first.weight * factor, bias=first.bias * factor)
    smaller = replace(second, weight=second.weight / factor)
    swap = {first.name: larger, second.name: smaller}
    graph = network.graph.with_nodes([swap.get(node.name, node) for node in nodes])
    return LoweredNet(graph), set(swap)


def package(network: LoweredNet, query_folder: Path, pixels: Pixels, path: Path) -> MilProgram:
    bundle = QueryBundle.load(query_folder)
    metadata = metadata_of(bundle, target="coreml", precision="fp16")
    coreml.write_coreml(Job(network=network, metadata=metadata, images=pixels), path)
    return MilProgram(path)


def test_a_harmless_network_keeps_nothing(harmless: LoweredNet, pixels: Pixels) -> None:
    found = check_fp16(harmless, pixels, Preprocessing(input_size=64))
    assert (found.kept, found.reasons) == ((), {})
    assert found.min_cosine == found.min_cosine_unsafe > 0.9999


@pytest.mark.slow
def test_values_beyond_float16_are_kept_and_the_package_then_agrees(
    harmless: LoweredNet,
    query_folder: Path,
    pixels: Pixels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network, planted = scaled(harmless, 1e5)
    inputs = Preprocessing(input_size=64).normalise(pixels)
    exact = harmless(inputs)
    torch.testing.assert_close(network(inputs), exact, atol=1e-4, rtol=0)

    safe = package(network, query_folder, pixels, tmp_path / "safe.mlpackage")
    found = safe.run(image=inputs[:, None])["embedding"][:, 0]
    assert F.cosine_similarity(found, exact).min() > 0.9999
    options = Metadata.read(safe.metadata["edgecmp"].encode(), source="it").options
    kept = options["float32_layers"].split(",")
    assert planted <= set(kept)
    assert len(kept) < 5
    line = capsys.readouterr().err
    assert line.startswith(f"kept in float32: {', '.join(kept)} (")
    assert "with all in float16 -1.0" in line

    nothing = Fp16Safety(kept=(), reasons={}, min_cosine=0, min_cosine_unsafe=0)
    monkeypatch.setattr(coreml, "check_fp16", lambda *arguments: nothing)
    unsafe = package(network, query_folder, pixels, tmp_path / "unsafe.mlpackage")
    found = unsafe.run(image=inputs[:, None])["embedding"][:, 0]
    assert not F.cosine_similarity(found, exact).min() > 0.9


def test_digits_lost_below_the_range_are_found(harmless: LoweredNet, pixels: Pixels) -> None:
    network, planted = scaled(harmless, 1e-6)
    found = check_fp16(network, pixels, Preprocessing(input_size=64))
    assert planted <= set(found.kept)
    assert found.min_cosine > 0.9999 > found.min_cosine_unsafe
    assert any("loses" in reason for reason in found.reasons.values())


@pytest.mark.parametrize(("factor", "says"), [(1e4, "reaches"), (1e-4, "falls to")])
def test_the_sum_of_squares_of_a_length_is_looked_at(
    harmless: LoweredNet, pixels: Pixels, factor: float, says: str
) -> None:
    """No value leaves float16's range, but an engine that adds up in float16 would."""
    *nodes, linear, last = harmless.graph
    assert isinstance(linear, Linear)
    length = float(linear.weight.abs().max()) * 10
    tail = replace(
        linear, weight=linear.weight * factor / length, bias=linear.bias * factor / length
    )
    network = LoweredNet(harmless.graph.with_nodes([*nodes, tail, last]))
    found = check_fp16(network, pixels, Preprocessing(input_size=64))
    assert says in found.reasons["embedding"]


def test_layers_that_cost_precision_are_kept(
    harmless: LoweredNet, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecmp.export.quantisation.fp16_safety.TARGET", 1.0)
    found = check_fp16(harmless, pixels, Preprocessing(input_size=64))
    assert set(found.reasons.values()) == {"rounding"}
    assert found.min_cosine > found.min_cosine_unsafe
    assert len(found.kept) < len(harmless.graph.nodes)


def test_the_simulation_is_exact_with_everything_kept(
    harmless: LoweredNet, images: MakeImages
) -> None:
    inputs = images(2, 64, 5)
    simulation = Fp16Simulation(harmless)
    assert torch.equal(simulation.run(inputs), harmless(inputs))
    assert not torch.equal(simulation.run(inputs, ()), harmless(inputs))
    names = [name for name, _ in simulation.values(inputs)]
    assert names == [node.name for node in harmless.graph]


def test_the_limit_leaves_a_margin() -> None:
    assert LIMIT * 2 < 65504


def test_a_calibrated_precision_needs_images(
    harmless: LoweredNet, query_folder: Path, tmp_path: Path
) -> None:
    none = np.zeros((0, 64, 64, 3), np.uint8)
    with pytest.raises(UserError, match="at least one calibration image"):
        package(harmless, query_folder, none, tmp_path / "net.mlpackage")
