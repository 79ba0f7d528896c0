"""Core ML devices, with all of coremltools but what only macOS has.

The benchmarker and the packages are coremltools' own; below them stands a model that answers at
once. That stand-in subclasses coremltools' abstract class, and every function that is replaced is
held to the signature of the real one, so that a change of coremltools fails here.
"""

from __future__ import annotations

import inspect
import json
import platform
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecmp.export.install import no_wheels

if no_wheels("coremltools"):
    pytest.skip(no_wheels("coremltools"), allow_module_level=True)

import coremltools
from coremltools.converters.mil import Builder
from coremltools.models.ml_program.experimental.async_wrapper import MLModelAsyncWrapper
from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker
from coremltools.models.ml_program.experimental.remote_device import (
    AppSigningCredentials,
    DeviceState,
    DeviceType,
)
from coremltools.models.ml_program.experimental.remote_device import Device as AttachedDevice
from PIL import Image

from edgecmp.benchmarks import BenchPlan, bench
from edgecmp.benchmarks.devices import DeviceRunError, open_device
from edgecmp.benchmarks.devices.coreml import UNITS
from edgecmp.errors import UserError

LOAD_NS, FIRST_NS, RUN_NS = 50_000_000, 9_000_000, 2_000_000


class StandIn(MLModelAsyncWrapper):  # type: ignore[misc]
    """A loaded model that takes as long as the constants above say."""

    made: list[StandIn]

    def __init__(self, device: AttachedDevice | None, **model: Any) -> None:
        super().__init__(**model)
        self.device = device
        self.seen: list[dict[str, Any]] = []
        StandIn.made.append(self)

    async def load(self) -> None:
        if self.weights_dir is None:
            raise ValueError("Failed to load model")

    async def unload(self) -> None:
        raise NotImplementedError

    async def predict(self, inputs: dict[str, Any], state: Any = None) -> dict[str, Any]:
        self.seen.append(inputs)
        return {}

    def make_state_if_needed(self) -> None:
        return None

    async def retrieve_compute_plan(self) -> Any:
        raise NotImplementedError

    @property
    def load_duration_in_nano_seconds(self) -> int:
        return LOAD_NS

    @property
    def last_predict_duration_in_nano_seconds(self) -> int:
        return FIRST_NS if len(self.seen) == 1 else RUN_NS


def from_spec_or_path(
    spec_or_path: Any,
    weights_dir: str,
    compute_units: Any = coremltools.ComputeUnit.ALL,
    function_name: str | None = None,
    optimization_hints: dict[str, Any] | None = None,
    device: Any = None,
) -> StandIn:
    """Instead of one that loads for real."""
    return StandIn(
        device,
        spec_or_path=spec_or_path,
        weights_dir=weights_dir,
        compute_units=compute_units,
        function_name=function_name,
        optimization_hints=optimization_hints,
    )


def attached(name: str, state: DeviceState, session: Any = None) -> AttachedDevice:
    return AttachedDevice(
        name=name,
        type=DeviceType.IPHONE,
        identifier=f"id-{name}",
        udid=f"udid-{name}",
        os_version="18.1",
        os_build_number="22B83",
        developer_mode_state="enabled",
        state=state,
        session=session,
    )


def get_devices() -> list[AttachedDevice]:
    """Instead of what asks `xcrun devicectl`."""
    return [attached("Ada", DeviceState.CONNECTED), attached("Bob", DeviceState.DISCONNECTED)]


class Prepared:
    """What happened to the runner app."""

    credentials: AppSigningCredentials | None = None
    stopped = False
    fails = False


async def prepare_for_model_debugging(
    self: AttachedDevice,
    credentials: AppSigningCredentials | None = None,
    working_directory: Path | None = None,
    clean: bool = False,
) -> AttachedDevice:
    """Instead of what builds and starts the runner app with Xcode."""
    if Prepared.fails:
        raise ValueError("The 'xcodebuild' command is required.")
    Prepared.credentials = credentials

    def stop() -> None:
        Prepared.stopped = True

    return attached(self.name, self.state, SimpleNamespace(stop=stop))


REPLACED = (
    (MLModelAsyncWrapper, "from_spec_or_path", from_spec_or_path),
    (AttachedDevice, "get_devices", get_devices),
    (AttachedDevice, "prepare_for_model_debugging", prepare_for_model_debugging),
)


@pytest.mark.parametrize(("owner", "name", "ours"), REPLACED)
def test_what_is_replaced_has_the_signature_of_the_real_one(
    owner: type, name: str, ours: Any
) -> None:
    def shape(function: Any) -> list[tuple[str, Any, Any]]:
        parameters = inspect.signature(function).parameters.values()
        return [(found.name, found.kind, found.default) for found in parameters]

    real = getattr(owner, name)
    assert shape(real) == shape(ours)
    assert inspect.iscoroutinefunction(real) == inspect.iscoroutinefunction(ours)


def test_what_is_used_of_the_real_ones_is_there() -> None:
    assert set(UNITS.values()) == {unit.name for unit in coremltools.ComputeUnit}
    for function, arguments in (
        (MLModelBenchmarker.benchmark_load, {"iterations"}),
        (MLModelBenchmarker.benchmark_predict, {"inputs", "iterations"}),
        (MLModelBenchmarker, {"model", "device"}),
        (coremltools.models.MLModel, {"model", "compute_units", "skip_model_load"}),
        (AppSigningCredentials, {"development_team"}),
    ):
        assert arguments <= inspect.signature(function).parameters.keys()


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    for owner, name, ours in REPLACED:
        static = isinstance(inspect.getattr_static(owner, name), staticmethod)
        monkeypatch.setattr(owner, name, staticmethod(ours) if static else ours)
    monkeypatch.setattr(StandIn, "made", [], raising=False)
    for name in ("credentials", "stopped", "fails"):
        monkeypatch.setattr(Prepared, name, getattr(Prepared, name))


def package(folder: Path, image: bool) -> Path:
    """A small real package that reads a tensor, or an image of 8 x 8 pixels."""

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 3, 8, 8))])  # type: ignore[untyped-decorator]
    def double(x: Any) -> Any:
        return Builder.mul(x=x, y=2.0)

    reads = coremltools.ImageType(name="x", shape=(1, 3, 8, 8)) if image else None
    model = coremltools.convert(
        double,
        inputs=[reads] if reads else None,
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target.iOS15,
        compute_precision=coremltools.precision.FLOAT32,
        skip_model_load=True,
    )
    path = folder / "double.mlpackage"
    model.save(str(path))
    return path


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("tensors"), image=False)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("images"), image=True)


@pytest.mark.skipif(platform.system() == "Darwin", reason="this is a Mac: it has Core ML")
@pytest.mark.parametrize("name", ["coreml:local", "coreml:Ada?units=cpu"])
def test_elsewhere_it_needs_macos(name: str) -> None:
    with pytest.raises(UserError, match=r"needs macOS.*docs/how-to/iphone\.md") as failure:
        open_device(name)
    assert failure.value.what.startswith(name)


@pytest.mark.usefixtures("mac")
def test_a_bench_on_this_mac(tensors: Path) -> None:
    plan = BenchPlan(runs=30, rounds=2)
    report = bench([tensors], device="coreml:local?units=cpu+ne", threads=(1, 2), plan=plan)
    (row,) = json.loads(json.dumps(report.to_dict()))["rows"]
    assert (row["runtime"], row["verdict"], row["reason"]) == ("coreml", "measured", "")
    assert (row["threads"], row["compute_units"]) == (None, "cpu+ne")
    assert row["version"] == coremltools.__version__
    assert (row["init_ms"], row["first_ms"], row["p50_ms"], row["runs"]) == (50.0, 9.0, 2.0, 30)
    assert (row["statistic"], row["preempted"]) == ("all runs", None)
    assert row["peak_memory_mb"] is None
    assert len(StandIn.made) == 2
    for model in StandIn.made:
        assert model.device is None
        assert model.compute_units == coremltools.ComputeUnit.CPU_AND_NE
        assert len(model.seen) == 1 + 3 + 15
        assert model.seen[0]["x"].shape == (1, 3, 8, 8)
        assert model.seen[0]["x"].dtype == np.float32


@pytest.mark.usefixtures("mac")
def test_an_image_is_an_image(images: Path) -> None:
    with open_device("coreml:local") as device:
        found = device.time_model(images, runtime="coreml", runs=3)
    assert found["input_shape"] == [1, 8, 8, 3]
    (model,) = StandIn.made
    assert isinstance(model.seen[0]["x"], Image.Image)
    assert model.seen[0]["x"].size == (8, 8)
    with (
        open_device("coreml:Ada") as device,
        pytest.raises(DeviceRunError, match="export with --input tensor"),
    ):
        device.time_model(images, runtime="coreml")
    with (
        open_device("coreml:local") as device,
        pytest.raises(DeviceRunError, match="its input is 1x8x8x3, so it cannot be timed at 9x9"),
    ):
        device.time_model(images, runtime="coreml", input_size=(9, 9))


@pytest.mark.usefixtures("mac")
def test_an_attached_device(tensors: Path) -> None:
    report = bench(
        [tensors], device="coreml:udid-Ada?team=ABCDE12345", plan=BenchPlan(runs=4, rounds=2)
    )
    assert report.rows[0]["p50_ms"] == 2.0
    assert report.rows[0]["governor"] is report.rows[0]["zone"] is None
    assert report.device["system"] == "18.1 (22B83)"
    assert {model.device.name for model in StandIn.made if model.device} == {"Ada"}
    assert Prepared.credentials == AppSigningCredentials(development_team="ABCDE12345")
    assert Prepared.stopped
    with pytest.raises(UserError, match="waits for this Mac between two predictions"):
        bench([tensors], device="coreml:Ada", plan=BenchPlan.of(sustained=1))


@pytest.mark.usefixtures("mac")
def test_a_real_clock_bounds_a_sustained_visit(tensors: Path) -> None:
    with open_device("coreml:local") as device:
        found = device.time_model(tensors, runtime="coreml", runs=1, seconds=0.3, least_seconds=0.3)
    assert 0.3 <= found["seconds"] < 3
    assert len(found["wall_us"]) > 1


@pytest.mark.usefixtures("mac")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("coreml:Adda", "Unknown Core ML device 'Adda'. Did you mean Ada"),
        ("coreml:Bob", "Bob is disconnected, not connected"),
        ("coreml:local?units=gpu", "Unknown compute units 'gpu'"),
        ("coreml:local?unit=cpu", "Did you mean units"),
    ],
)
def test_a_device_that_is_not_there(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        open_device(name)


@pytest.mark.usefixtures("mac")
def test_what_coremltools_cannot_do_is_told(
    monkeypatch: pytest.MonkeyPatch, tensors: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(Prepared, "fails", True)
    with pytest.raises(UserError, match=r"runner app on Ada.*xcodebuild.*\?team=TEAMID"):
        open_device("coreml:Ada")

    def refused() -> list[AttachedDevice]:
        raise ValueError("The 'devicectl' command is required.")

    monkeypatch.setattr(AttachedDevice, "get_devices", staticmethod(refused))
    with pytest.raises(UserError, match=r"devicectl.*xcrun devicectl list devices"):
        open_device("coreml:Ada")
    with open_device("coreml:local") as device:
        with pytest.raises(UserError, match="no commands"):
            device.run(["ls"])
        with pytest.raises(UserError, match="no commands"):
            device.pull("a", tmp_path / "a")
        (tmp_path / "cut.mlpackage").mkdir()
        with pytest.raises(DeviceRunError):
            device.time_model(tmp_path / "cut.mlpackage", runtime="coreml")


@pytest.mark.usefixtures("mac")
def test_other_files_say_that_nothing_there_runs_them(tmp_path: Path, tensors: Path) -> None:
    other = tmp_path / "q.tflite"
    other.write_bytes(b"")
    plan = BenchPlan(runs=4, rounds=2)
    rows = bench([tensors, other], device="coreml:local", plan=plan).rows
    assert [row["verdict"] for row in rows] == ["measured", "not run"]
    assert rows[1]["reason"] == "coreml:local has no runtime for .tflite files"
