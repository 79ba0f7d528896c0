"""The wheel holds every module and data file, and nothing that shadows a user's own modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LEFT_OUT = {"__pycache__"}


def shipped(*suffixes: str) -> set[str]:
    """What lies under edgecmp/, through the symlinks, as paths inside a wheel."""

    def walk(folder: Path, prefix: str) -> set[str]:
        found: set[str] = set()
        for entry in folder.iterdir():
            if entry.name in LEFT_OUT or entry.name.startswith("."):
                continue
            name = f"{prefix}/{entry.name}"
            found |= walk(entry, name) if entry.is_dir() else {name}
        return found

    return {n for n in walk(ROOT / "edgecmp", "edgecmp") if not suffixes or n.endswith(suffixes)}


def build(folder: Path, *, symlinks: bool = True) -> subprocess.CompletedProcess[str]:
    """Builds a wheel into `folder` from a copy of the tree, so that no old build folder helps."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignore = shutil.ignore_patterns(*LEFT_OUT)
    for name in ("edgecmp", "search", "export", "benchmarks", "tests", "scripts"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)
    if not symlinks:  # what git checks out with core.symlinks = false
        for name in ("search", "export", "benchmarks"):
            (source / "edgecmp" / name).unlink()
            (source / "edgecmp" / name).write_text(f"../{name}")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    return subprocess.run(
        [*command, str(source)], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.packaging
def test_a_checkout_without_symlinks_builds_no_wheel(tmp_path: Path) -> None:
    assert build(tmp_path, symlinks=False).returncode != 0
    assert not list(tmp_path.glob("*.whl"))


def test_the_package_list_is_in_step_with_the_tree() -> None:
    packages = {name.rpartition("/")[0].replace("/", ".") for name in shipped(".py")}
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(packages)


def test_every_package_says_so() -> None:
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        assert (ROOT / package.replace(".", "/") / "__init__.py").is_file(), package


def test_the_code_folders_are_reached_by_symlinks() -> None:
    for name in ("search", "export", "benchmarks"):
        link = ROOT / "edgecmp" / name
        assert link.is_symlink(), f"{link} is no symlink: git config core.symlinks true, check out"
        assert link.resolve() == ROOT / name


@pytest.mark.packaging
def test_the_wheel_holds_every_file_and_no_other_top_level(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert shipped() - names == set()
    assert {name.split("/")[0] for name in names} == {
        "edgecmp",
        f"edgecmp-{metadata(wheel)['Version']}.dist-info",
    }


@pytest.mark.packaging
def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    about = metadata(wheel)
    assert about["License-Expression"].startswith("Apache-2.0 AND CC-BY-4.0")
    assert about["Requires-Python"] == "<3.15,>=3.11"
    (entry,) = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
    assert "edgecmp = edgecmp.cli:main" in wheel.read(entry).decode()


PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def pins_of(python: str) -> dict[str, str]:
    """The versions that were tested under one Python, by package."""
    lines = (ROOT / "constraints" / f"{python}.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and line[0] != "#"]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("python", PYTHONS)
def test_every_tested_version_is_in_range(python: str) -> None:
    """constraints/ and the ranges of pyproject.toml are kept by hand; they must agree."""
    pins = pins_of(python)
    machine = {
        "python_version": python,
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    project = PROJECT["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate(machine):
            continue
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{text}: tested with {version}"


def test_every_python_that_is_promised_has_its_constraints() -> None:
    promised = {
        line.rpartition(" ")[2]
        for line in PROJECT["project"]["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    }
    kept = {path.stem for path in (ROOT / "constraints").glob("*.txt")}
    assert promised == kept == set(PYTHONS)


def test_one_version_of_a_package_is_tested_under_every_python_but_for_numpy() -> None:
    versions: dict[str, set[str]] = {}
    for python in PYTHONS:
        for name, version in pins_of(python).items():
            versions.setdefault(name, set()).add(version)
    assert {name for name, found in versions.items() if len(found) > 1} == {"numpy"}


def metadata(wheel: zipfile.ZipFile) -> dict[str, str]:
    """The headers of the wheel's METADATA."""
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
    headers = wheel.read(name).decode().split("\n\n")[0].splitlines()
    return dict(line.split(": ", 1) for line in headers if ": " in line)
