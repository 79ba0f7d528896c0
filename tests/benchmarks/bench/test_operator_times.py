"""The profile: of a real network its operators, by name, and times that add up to the run's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgecmp.benchmarks.bench.operator_times import main, profile
from edgecmp.benchmarks.bench.operators import Profile
from edgecmp.errors import UserError
from edgecmp.export.formats.tflite.writer import tflite_bytes
from edgecmp.export.lowering import LoweredNet, lower
from edgecmp.export.lowering.graph import Conv, Linear
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, DEPTH


@pytest.fixture(scope="module")
def network() -> LoweredNet:
    architecture = Architecture(
        tier="100M", blocks=(BLOCKS.index("shuffle7"),) * DEPTH, widths=(4,) * DEPTH, input_size=128
    )
    return lower(architecture.build().eval())


@pytest.fixture(scope="module")
def file(network: LoweredNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "query.tflite"
    path.write_bytes(tflite_bytes(network))
    return path


@pytest.fixture(scope="module")
def measured(file: Path) -> Profile:
    return profile(file, runs=30)


def test_times_add_up_to_the_run(measured: Profile) -> None:
    total = sum(operator.time_us for operator in measured.operators)
    assert 0.6 * measured.whole_us < total < 1.2 * measured.whole_us
    kinds = measured.by_kind().values()
    assert sum(kind.time_us for kind in kinds) == pytest.approx(total)


def test_names_every_convolution(measured: Profile, network: LoweredNet) -> None:
    layers = {node.name for node in network.graph if isinstance(node, Conv | Linear)}
    found = {operator.name: operator for operator in measured.operators if operator.macs}
    assert {"stem", "blocks.19.main.2", "head", "linear"} <= found.keys() == layers
    assert found["head"].kind == "conv 1x1"
    assert found["head"].shape == (1, 4, 4, 512)
    assert found["head"].macs == 4 * 4 * 320 * 512
    assert found["stem"].kind == "conv 3x3 stride 2"
    assert found["head"].gflops > 1
    assert {"depthwise 5x5", "depthwise 3x3 dilation 3"} <= measured.by_kind().keys()


def test_xnnpack_takes_the_whole_network(measured: Profile) -> None:
    """One partition: only the last operator, the normalisation, is the interpreter's."""
    assert [o.kind for o in measured.operators if not o.delegated] == ["L2_NORMALIZATION"]
    assert not measured.operators[-1].delegated
    assert not any("Pad" in kind for kind in measured.by_kind())  # XNNPACK fuses them


def test_prints_a_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(file), "--runs", "5", "--top", "3"])
    printed = capsys.readouterr().out
    assert re.search(r"\d partitions? of XNNPACK", printed)
    assert "conv 1x1" in printed
    assert len(printed.split("\n\n")[1].splitlines()) == 3


def test_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "query.tflite"
    with pytest.raises(UserError, match="does not exist"):
        profile(path)
    with pytest.raises(UserError, match="--runs must be at least 1"):
        profile(path, runs=0)
    path.write_bytes(b"TFL3" * 20)
    with pytest.raises(UserError, match="LiteRT cannot profile"):
        profile(path)
