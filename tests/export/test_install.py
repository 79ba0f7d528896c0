"""What doctor and the errors say about wheels is what pyproject.toml says to pip."""

from __future__ import annotations

import importlib.util
import tomllib
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgecmp.errors import UserError
from edgecmp.export import install, run
from edgecmp.export.install import EXTRA, how_to_install, no_wheels

EXPORT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]["export"]
MACHINES = product(
    (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")), (11, 12, 13, 14)
)


@pytest.mark.parametrize(("machine", "minor"), list(MACHINES))
def test_it_agrees_with_the_markers_of_the_extra(machine: tuple[str, str], minor: int) -> None:
    environment = {
        "sys_platform": machine[0],
        "platform_machine": machine[1],
        "python_version": f"3.{minor}",
    }
    for requirement in map(Requirement, EXPORT):
        if requirement.name == "numpy":
            continue
        installed = requirement.marker is None or requirement.marker.evaluate(environment)
        reason = no_wheels(
            requirement.name, system=machine[0], machine=machine[1], version=(3, minor)
        )
        assert installed == (reason == ""), (requirement.name, reason)


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_numpy_is_below_2_only_beside_tflite_runtime(minor: int) -> None:
    environment = {"sys_platform": "linux", "platform_machine": "x86_64"}
    environment["python_version"] = f"3.{minor}"
    (numpy,) = [item for item in map(Requirement, EXPORT) if item.name == "numpy"]
    assert numpy.marker is not None
    assert numpy.marker.evaluate(environment) == (
        no_wheels("tflite-runtime", system="linux", version=(3, minor)) == ""
    )


def test_a_package_without_wheels_is_not_offered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert how_to_install("onnx", "onnxsim") == f"Install with `{EXTRA}`."
    reason = "coremltools has wheels for macOS and for Linux on x86-64, up to Python 3.13"
    monkeypatch.setattr(install, "no_wheels", lambda name: reason)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs packages that are not installed") as failure:
        run.export("coreml", out=tmp_path)
    assert failure.value.way_out == f"They cannot be installed here: {reason}."
