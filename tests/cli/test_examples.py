"""Every example of every help runs as far as opening its inputs.

Commands that take long are stopped where their work would begin, when they have parsed their
arguments and opened their inputs; the others run to the end. An example that is stopped anywhere
else, or that ends without having begun its work, fails. A phone or a board is replaced by this
machine.
"""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from edgecmp.benchmarks.devices import DeviceSpec, LocalDevice
from edgecmp.cli.app import app
from edgecmp.data import DATASETS
from tests.fixtures.example_inputs import HAS_COREMLTOOLS, copy_inputs, few_emoji, write_inputs

WORK = {
    "run": ("edgecmp.road.run:measure_pace",),
    "train gallery": ("edgecmp.training.session:fit",),
    "train supernet": ("edgecmp.training.session:fit",),
    "train query": ("edgecmp.training.session:fit",),
    "gallery build": ("edgecmp.gallery.index:GalleryIndex.build",),
    "latency build": ("edgecmp.benchmarks.latency.build:latency_segments",),
    "latency check": ("edgecmp.benchmarks.latency.check:measure_networks",),
    "search": ("edgecmp.search.run:search",),
    "prune": ("edgecmp.pruning.prune:prune",),
    "eval": ("edgecmp.evaluation.retrieval:embed_set", "edgecmp.evaluation.ijbc:embed_faces"),
    "export": ("edgecmp.export.run:Job",),
    "parity": ("edgecmp.export.parity.session:ParitySession.run",),
    "bench": ("edgecmp.benchmarks.bench.run:measure",),
    "doctor": ("edgecmp.export.doctor:try_target",),
    "reproduce": ("edgecmp.training.session:fit",),
    "study ranking": ("edgecmp.search.evaluation.supernet:SupernetEvaluator.evaluate",),
}
"""Where the work of each command begins: the first function that is called with opened inputs."""

TO_THE_END = (
    *("init", "data shard", "rank", "find", "devices", "flops", "recipes", "inspect"),
    "reproduce --list",
)
"""Commands whose examples take a moment, and so run to their end with exit code 0."""

OUTPUTS = ("--out", "--json", "--picture", "--results")
"""Options that name what is written."""


class WorkBeganError(BaseException):
    """A command got as far as its work; no handler of edgecmp catches it."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


def walk(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All commands and groups, with the words that call each."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, f"{path} {name}".strip())


def examples_of(command: Any) -> list[str]:
    """The lines below "Examples:" in a help."""
    block = re.search(r"^Examples:\n((?:  .*(?:\n|$))+)", command.help, re.MULTILINE)
    return [line.strip() for line in block[1].splitlines()] if block else []


HELPS = dict(walk(typer.main.get_command(app)))
EXAMPLES = list(dict.fromkeys(line for command in HELPS.values() for line in examples_of(command)))


@pytest.fixture(scope="module")
def machine() -> LocalDevice:
    """This machine, whose facts are asked for once."""
    return LocalDevice()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("examples") / "inputs")


@dataclass(frozen=True)
class Shell:
    """Runs examples in a folder of their own."""

    inputs: Path
    folder: Path
    edgecmp: Callable[..., Any]
    monkeypatch: pytest.MonkeyPatch

    def check(self, line: str) -> None:
        """Asserts that an example is right, and that no missing input is noticed too late."""
        program, *words = shlex.split(line)
        assert program == "edgecmp"
        commands = [
            name for name in (*WORK, *TO_THE_END) if words[: len(name.split())] == name.split()
        ]
        assert commands, f"Add the command of `{line}` to WORK or TO_THE_END."
        command = max(commands, key=len)
        pairs = list(zip([None, *words], words, strict=False))
        copy_inputs(self.inputs, self.folder, external={"query.onnx", "gallery.toml"} <= {*words})
        self.monkeypatch.chdir(self.folder)
        for option, word in pairs:
            if option in OUTPUTS and Path(word).is_symlink():
                Path(word).unlink()
            elif option in OUTPUTS and Path(word).is_dir():
                shutil.rmtree(word)
        for option, word in pairs if command in WORK else ():
            if option not in OUTPUTS and Path(word).exists():
                self._refused_without(Path(word), words)
        where, result = self._run(words)
        if where is None:
            assert result.code == 0, f"`{line}` is refused: {result.out}{result.err}"
            assert command in TO_THE_END, f"`{line}` ended before it reached {WORK[command]}."
        else:
            assert where in WORK.get(command, ()), f"`{line}` began with {where}."

    def _refused_without(self, given: Path, words: list[str]) -> None:
        """Asserts that a missing input ends a command with 2 before its work begins."""
        away = self.folder.with_name("away")
        given.rename(away)
        where, result = self._run(words)
        away.rename(given)
        assert where is None, f"{given} is not opened before {where}."
        assert result.code == 2, f"{given} is not an input: {result.out}{result.err}"

    def _run(self, words: list[str]) -> tuple[str | None, Any]:
        """Where the work began, or the result of a command that ended."""
        expanded = [name for word in words for name in self._expand(word)]
        try:
            return None, self.edgecmp(*expanded)
        except WorkBeganError as reached:
            return reached.where, None

    def _expand(self, word: str) -> list[str]:
        """A word as the shell hands it on."""
        return sorted(map(str, Path().glob(word))) if "*" in word else [word]


@pytest.fixture
def shell(
    inputs: Path,
    machine: LocalDevice,
    tmp_path: Path,
    edgecmp: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    """A shell in which no long work begins and no device is connected to."""
    for where in {place for places in WORK.values() for place in places}:
        name, _, attribute = where.partition(":")
        *owners, last = attribute.split(".")
        owner: Any = importlib.import_module(name)
        for part in owners:
            owner = getattr(owner, part)
        monkeypatch.setattr(owner, last, stopped_at(where))
    opening = importlib.import_module("edgecmp.benchmarks.devices.open")

    def connect(spec: DeviceSpec) -> LocalDevice:
        return machine

    for kind, (_, options) in opening.KINDS.items():
        monkeypatch.setitem(opening.KINDS, kind, (connect, options))
    listing = importlib.import_module("edgecmp.benchmarks.devices.listing")
    monkeypatch.setattr(listing, "attached_devices", list)
    emoji = few_emoji()
    monkeypatch.setitem(DATASETS, "emoji", lambda gallery_domain: emoji)
    return Shell(inputs, tmp_path / "here", edgecmp, monkeypatch)


def stopped_at(where: str) -> Callable[..., None]:
    """Takes the place of the function where the work begins."""

    def begin(*_: object, **__: object) -> None:
        raise WorkBeganError(where)

    return begin


@pytest.mark.parametrize("path", list(HELPS))
def test_every_help_has_examples(path: str) -> None:
    examples = examples_of(HELPS[path])
    assert examples, f"The help of `edgecmp {path}` has no examples."
    if not hasattr(HELPS[path], "commands"):
        assert any(f"{line} ".startswith(f"edgecmp {path} ") for line in examples)


@pytest.mark.parametrize("line", EXAMPLES, ids=EXAMPLES)
def test_an_example_runs_as_far_as_opening_its_inputs(line: str, shell: Shell) -> None:
    if not HAS_COREMLTOOLS and re.search(r"coreml\b|\.mlpackage", line):
        pytest.skip("coremltools has no wheel for this system")
    shell.check(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("edgecmp train gallery --recipe emojy --out runs/gallery", "Did you mean emoji?"),
        ("edgecmp eval --modell runs/query", "No such option: --modell"),
        ("edgecmp eval --model runs/gallery", "is refused"),
        ("edgecmp find photo.jpg --model runs/nothing.tflite", "does not exist"),
        ("edgecmp bench query.tflite --runtime lite", "Did you mean litert?"),
        ("edgecmp bench query.tflite --device ssh:pi@board", "Unknown device"),
        ("edgecmp train gallery --help", "ended before it reached"),
        ("edgecmp export --target onnx --data photos/ --out q.onnx", "photos is not opened before"),
        ("edgecmp quantise query.tflite", "Add the command of"),
    ],
)
def test_a_wrong_example_fails(line: str, reason: str, shell: Shell) -> None:
    with pytest.raises(AssertionError) as failure:
        shell.check(line)
    assert reason in str(failure.value)
