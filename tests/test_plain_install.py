"""`pip install edgecmp`, without the extra `export`, is enough for all but the files of devices."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgecmp import kit

ROOT = Path(__file__).parents[1]
MODULES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
"""Where a package's module has another name."""

PROGRAM = """
import sys
for module in {blocked}:
    sys.modules[module] = None  # as if it were not installed
from edgecmp.cli import main
sys.exit(main({words}))
"""


def blocked() -> list[str]:
    """The modules of the packages that only the extra installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {Requirement(text).name for text in project["dependencies"]}
    extra = {Requirement(text).name for text in project["optional-dependencies"]["export"]}
    return sorted(MODULES.get(name, name) for name in extra - base)


@pytest.mark.parametrize(
    "words",
    [
        ["flops", str(kit.path("query") / "architecture.json")],
        ["find", str(ROOT / "docs" / "images" / "mushroom.png")],
        ["inspect", str(kit.path("index"))],
        ["recipes", "show", "emoji"],
        pytest.param(["eval"], marks=pytest.mark.slow),
    ],
    ids=lambda words: words[0],
)
def test_a_command_works_without_the_extra(words: list[str]) -> None:
    assert "flatbuffers" in blocked()
    program = PROGRAM.format(blocked=blocked(), words=words)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["export", "--target", "tflite"],
        ["latency", "build", "--out", "table.json"],
        ["run", "--data", "emoji", "--time", "1h", "--out", "run"],
        ["search", "--budget", "100M", "--latency", "4ms", "--table", "table.json"],
    ],
    ids=lambda words: words[0],
)
def test_what_needs_the_extra_says_so(words: list[str], tmp_path: Path) -> None:
    out = [] if "--out" in words else ["--out", str(tmp_path / "out.tflite")]
    program = PROGRAM.format(blocked=blocked(), words=[*words, *out])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'edgecmp[export]'" in done.stderr
    assert "Traceback" not in done.stderr
