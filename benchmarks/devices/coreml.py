"""Macs, iPhones and iPads that run Core ML packages, through the benchmarker of coremltools.

`coreml:local` is this Mac; `coreml:NAME` is an attached device, by its name or UDID: coremltools
builds its runner app with Xcode, installs it on the device and requests one prediction after the
other. The device times each prediction itself and waits for the Mac between two predictions.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.benchmarks.devices.device import Device
from edgecmp.benchmarks.devices.errors import DeviceRunError
from edgecmp.benchmarks.devices.on_device import runner
from edgecmp.benchmarks.devices.on_device.runner import line_of, times
from edgecmp.benchmarks.devices.spec import DeviceSpec
from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.install import how_to_install

__all__ = ["UNITS", "CoreMLDevice"]

UNITS = {
    "all": "ALL",
    "cpu": "CPU_ONLY",
    "cpu+gpu": "CPU_AND_GPU",
    "cpu+ne": "CPU_AND_NE",
}
"""By the value of `?units=`, the name in coremltools; "ne" is the Neural Engine."""

WARM_UP = 3
CHUNK = 10
"""Number of predictions after which the time is checked."""

UNKNOWN: dict[str, Any] = {
    "governor": None,
    "temperatures_c": {},
    "frequencies_mhz": {},
    "load": None,
}
"""Conditions of an attached device, which coremltools does not report."""


class CoreMLDevice(Device):
    """A Mac or an attached device; `?units=` chooses compute units, `?team=` signs the runner app.

    Raises:
        UserError: this machine is no Mac, coremltools is missing, or the device is not connected.
    """

    python = ""

    def __init__(self, spec: DeviceSpec) -> None:
        if platform.system() != "Darwin":
            raise UserError(
                f"{spec.text} needs macOS (this machine runs {platform.system()}).",
                "Run the same command on a Mac; docs/how-to/iphone.md shows how.",
            )
        units = spec.options.get("units", "all")
        if units not in UNITS:
            raise unknown_choice("compute units", units, UNITS)
        self.name = spec.text
        self._units = units
        self._loop = asyncio.Runner()
        self._remote = None if spec.address == "local" else self._attach(spec)

    def _attach(self, spec: DeviceSpec) -> Any:
        """Finds the device and starts the runner app of coremltools on it."""
        remote_device = _coremltools().remote_device
        try:
            devices = remote_device.Device.get_devices()
        except Exception as error:
            raise UserError(
                f"coremltools cannot list the attached devices ({line_of(error)}).",
                "Install Xcode and check that `xcrun devicectl list devices` shows the device.",
            ) from error
        named = [
            found for found in devices if spec.address in (found.name, found.udid, found.identifier)
        ]
        if not named:
            raise unknown_choice(
                "Core ML device", spec.address, ["local", *(found.name for found in devices)]
            )
        (device, *_) = named
        if device.state != remote_device.DeviceState.CONNECTED:
            raise UserError(
                f"{device.name} is {device.state.value}, not connected.",
                "Unlock it, trust this Mac and switch on its developer mode (see "
                "docs/how-to/iphone.md).",
            )
        credentials = remote_device.AppSigningCredentials(
            development_team=spec.options.get("team", "")
        )
        try:
            return self._loop.run(device.prepare_for_model_debugging(credentials=credentials))
        except Exception as error:
            raise UserError(
                f"coremltools cannot start its runner app on {device.name} ({line_of(error)}).",
                f"Name your development team: coreml:{device.name}?team=TEAMID.",
            ) from error

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The facts that coremltools reports; "compute_units" is the choice for this device."""
        tools = _coremltools()
        own: dict[str, Any] = {
            "runtimes": {"coreml": {"version": tools.version}},
            "compute_units": self._units,
        }
        if self._remote is None:
            return runner.facts() | own
        return {
            "machine": self._remote.type.value,
            "system": f"{self._remote.os_version} ({self._remote.os_build_number})",
            "cpu": None,
            "cores": None,
            "udid": self._remote.udid,
            **UNKNOWN,
            **own,
        }

    def time_model(
        self,
        model: Path,
        *,
        runtime: str,
        threads: int = 1,
        runs: int = 50,
        seed: int = 0,
        seconds: float = 60.0,
        least_seconds: float = 0.0,
        input_size: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """See `Device.time_model`; Core ML chooses its threads and does not report memory.

        Raises:
            DeviceRunError: Core ML refuses the model.
            UserError: continuous load is requested from an attached device.
        """
        if least_seconds and self._remote is not None:
            raise UserError(
                f"{self.name} waits for this Mac between two predictions, so it is never under "
                "continuous load.",
                "Leave out --sustained and --single-stream, or measure coreml:local.",
            )
        before = self._conditions()
        try:
            timed = self._loop.run(
                self._measure(model, runs, seed, seconds, least_seconds, input_size)
            )
        except DeviceRunError:
            raise
        except Exception as error:
            raise DeviceRunError(f"{type(error).__name__}: {line_of(error)}") from error
        return {
            "runtime": runtime,
            "version": _coremltools().version,
            "threads": None,
            "compute_units": self._units,
            **timed,
            "cpu_us": None,
            "switches": None,
            "memory_before_kb": None,
            "peak_memory_kb": None,
            "before": before,
            "after": self._conditions(),
        }

    async def _measure(
        self,
        path: Path,
        runs: int,
        seed: int,
        seconds: float,
        least_seconds: float,
        input_size: tuple[int, int] | None,
    ) -> dict[str, Any]:
        """Loads the model, runs it once, warms up and times it; all times in microseconds."""
        tools = _coremltools()
        model = tools.MLModel(
            str(path),
            compute_units=tools.ComputeUnit[UNITS[self._units]],
            skip_model_load=True,
        )
        shape, inputs = _random_inputs(model, seed, remote=self._remote is not None)
        if input_size is not None and input_size not in (tuple(shape[1:3]), tuple(shape[2:])):
            raise DeviceRunError(
                f"its input is {times(shape)}, so it cannot be timed at {times(input_size)}"
            )
        benchmarker = tools.MLModelBenchmarker(model, device=self._remote)
        load = await benchmarker.benchmark_load(iterations=1)
        first = await benchmarker.benchmark_predict(inputs=inputs, iterations=1)
        await benchmarker.benchmark_predict(inputs=inputs, iterations=WARM_UP)
        samples: list[float] = []
        start = time.perf_counter()
        while not samples or (
            time.perf_counter() < start + seconds
            and (len(samples) < runs or time.perf_counter() < start + least_seconds)
        ):
            iterations = CHUNK if least_seconds else min(CHUNK, runs - len(samples))
            found = await benchmarker.benchmark_predict(inputs=inputs, iterations=iterations)
            samples += found.samples
        return {
            "input_shape": shape,
            "init_us": 1000 * load.samples[0],
            "first_us": 1000 * first.samples[0],
            "seconds": time.perf_counter() - start,
            "wall_us": [1000 * sample for sample in samples],
        }

    def _conditions(self) -> dict[str, Any]:
        return runner.conditions() if self._remote is None else dict(UNKNOWN)

    def push(self, path: Path) -> str:
        """The absolute path, since coremltools sends the compiled model itself."""
        return str(path.resolve())

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 600.0,
    ) -> str:
        """Not supported: such a device runs only models."""
        raise self._runs_models_alone()

    def pull(self, remote: str, path: Path) -> None:
        """Not supported: such a device runs only models."""
        raise self._runs_models_alone()

    def _runs_models_alone(self) -> UserError:
        return UserError(
            f"{self.name} runs only .mlpackage files, no commands.",
            "Use `edgecmp bench`; on the Mac itself, --device local runs the other formats.",
        )

    def close(self) -> None:
        """Ends the runner app on an attached device."""
        if self._remote is not None and self._remote.session is not None:
            self._remote.session.stop()
        self._loop.close()


class _Tools:
    """The parts of coremltools that are used, imported when they are needed."""

    def __init__(self) -> None:
        from edgecmp.quiet import quiet_coremltools

        with quiet_coremltools():
            import coremltools
            from coremltools.models.ml_program.experimental import perf_utils, remote_device

        self.version = str(coremltools.__version__)
        self.ComputeUnit = coremltools.ComputeUnit
        self.MLModel = coremltools.models.MLModel
        self.MLModelBenchmarker = perf_utils.MLModelBenchmarker
        self.remote_device = remote_device


def _coremltools() -> _Tools:
    try:
        return _Tools()
    except ImportError as error:
        raise UserError(
            f"coremltools cannot be imported ({error}).",
            how_to_install("coremltools"),
        ) from error


def _random_inputs(model: Any, seed: int, *, remote: bool) -> tuple[list[int], dict[str, Any]]:
    """Shape of the first input, and a random value for every input: an image or a tensor.

    The random inputs of coremltools do not support images.
    """
    from PIL import Image

    generator = np.random.default_rng(seed)
    shapes: list[list[int]] = []
    inputs: dict[str, Any] = {}
    for feature in model.get_spec().description.input:
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            if remote:
                raise DeviceRunError(
                    "coremltools cannot send images to a device: export with --input tensor"
                )
            image = feature.type.imageType
            shapes.append([1, image.height, image.width, 3])
            noise = generator.integers(0, 256, shapes[-1][1:], np.uint8)
            inputs[feature.name] = Image.fromarray(noise)
        elif kind == "multiArrayType":
            shapes.append([int(size) for size in feature.type.multiArrayType.shape])
            inputs[feature.name] = generator.standard_normal(shapes[-1]).astype(np.float32)
        else:
            raise DeviceRunError(f"input {feature.name} is a {kind}, not an image or a tensor")
    return shapes[0], inputs
