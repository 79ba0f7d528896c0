"""What the tests of devices that fail have in common, whichever way they are reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecmp.benchmarks.devices import (
    Device,
    DeviceLostError,
    DeviceRunError,
    Visit,
    open_device,
)

__all__ = ["RUNTIME", "goes_on", "refused", "until_failure"]

RUNTIME = "tflite-runtime"
VISIT_MS = 2.0


def until_failure(device: Device, models: list[Path]) -> tuple[list[Visit], Exception]:
    """The visits that came before a failure, and the failure."""
    visits = []
    lengths = [VISIT_MS] * len(models)
    try:
        for visit in device.time_models(models, runtime=RUNTIME, visit_ms=lengths):
            visits.append(visit)
    except (DeviceLostError, DeviceRunError) as error:
        return visits, error
    pytest.fail("nothing failed")


def goes_on(name: str, models: list[Path], visits: list[Visit]) -> None:
    """The same command again visits what is missing, and nothing else."""
    assert [visit.model for visit in visits] == list(range(len(visits)))
    missing = models[len(visits) :]
    lengths = [VISIT_MS] * len(missing)
    with open_device(name) as device:
        again = list(device.time_models(missing, runtime=RUNTIME, visit_ms=lengths))
    assert len(visits) + len(again) == len(models)
    assert all(min(visit.wall_us) > 0 for visit in [*visits, *again])


def refused(result: Any, *sentences: str) -> None:
    """Exit code 2, and one line on stderr besides the progress."""
    assert result.code == 2
    assert result.out == ""
    (line,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    for sentence in sentences:
        assert sentence in line
