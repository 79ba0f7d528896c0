"""A training, exports, `eval` and `bench` on a disk that is full: what was there before is whole.

`test_work_kills` does the same for the other long commands.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecmp.networks.architecture import Architecture
from tests.fixtures.identity_folders import write_identities
from tests.fixtures.small_models import write_model
from tests.kills.harness import Killer, Outcome, moment, started

COMMAND = "tests.kills.trainings:command"
SPLITS = {"train": 8, "validation": 10, "test": 6}

OUT = {
    "train": "out",
    "tflite": "out.tflite",
    "onnx": "out.onnx",
    "coreml": "out.mlpackage",
    "eval": "out.json",
    "bench": "out.json",
}
"""By command: what it writes."""

EARLIER = {
    "tflite": ("--precision", "fp16"),
    "onnx": ("--precision", "fp16"),
    "coreml": ("--precision", "fp16"),
}
"""By command: further arguments that give an earlier result another content. Others have a file of
any content, but a finished training is not written over."""


@dataclass(frozen=True)
class World:
    """What the commands read, and what runs them."""

    killer: Killer
    folder: Path

    def run(self, command: str, place: Path, *more: str, at: int | None = None) -> Outcome:
        """Runs a command that writes into `place`, whose disk is full from an event on."""
        place.mkdir(exist_ok=True)
        out = place / OUT[command]
        images, gallery = self.folder / "images", self.folder / "gallery"
        query = ("--model", self.folder / "query")
        lines: dict[str, Sequence[object]] = {
            "train": (
                *("train", "query", "--recipe", "short", "--data", images, "--out", out),
                *("--gallery", gallery, "--architecture", self.folder / "architecture.json"),
            ),
            "eval": ("eval", *query, "--gallery", gallery, "--data", images, "--json", out),
            "bench": (
                *("bench", self.folder / "model.tflite", "--runtime", "litert", "--json", out),
            ),
        }
        line = lines.get(command, ("export", "--target", command, *query, "--out", out))
        return self.killer.run(
            *(COMMAND, *map(str, line), *more),
            watched=place,
            die_at=at,
            happens="disk stays full",
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    write_identities(folder / "images", SPLITS)
    write_model(folder / "model.tflite")
    Architecture.random("100M", seed=0, input_size=32).save(folder / "architecture.json")
    with started(tmp_path_factory.mktemp("scratch"), "tests.kills.trainings") as killer:
        world = World(killer, folder)
        made = killer.run(
            *(COMMAND, "train", "gallery", "--recipe", "tiny", "--data", folder / "images"),
            *("--out", folder / "gallery"),
            watched=folder / "gallery",
        )
        assert made.code == 0, made.output
        made = world.run("train", folder / "first")
        assert made.code == 0, made.output
        (folder / "first" / "out").rename(folder / "query")
        yield world


@pytest.fixture(scope="module")
def earlier(world: World) -> Callable[[str], tuple[Path, Sequence[str]]]:
    """A folder with an earlier result of a command, and the events when it is written over."""
    known: dict[str, tuple[Path, Sequence[str]]] = {}

    def get(command: str) -> tuple[Path, Sequence[str]]:
        if command not in known:
            place = world.folder / f"earlier {command}"
            place.mkdir()
            if OUT[command].endswith(".json"):
                (place / OUT[command]).write_text("earlier")
            elif command in EARLIER:
                made = world.run(command, place, *EARLIER[command])
                assert made.code == 0, made.output
            over = shutil.copytree(place, world.folder / f"over {command}")
            outcome = world.run(command, over)
            assert outcome.code == 0, outcome.output
            known[command] = place, outcome.events
        return known[command]

    return get


def files(place: Path) -> dict[Path, bytes]:
    """Every file by its path."""
    return {
        path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()
    }


def check(world: World, command: str, place: Path, at: int, expected: Collection[Path]) -> Outcome:
    """Runs a command on a full disk and sees that it costs nothing; returns how it ended."""
    before = files(place)
    outcome = world.run(command, place, at=at)
    assert outcome.code in (0, 2), outcome.output
    left = [path.name for path in place.rglob("*") if path.name.endswith(".part")]
    assert left == [], f"{at}: {outcome.output}"
    if outcome.code == 2:
        told = outcome.output.splitlines()[-1]
        assert "Traceback" not in outcome.output
        assert told.startswith("error: ")
        assert "The disk is full" in told or "No space left" in told
        assert ".part" not in told
        after = files(place)
        assert {name: after.get(name) for name in before} == before, f"{at}: {told}"
        again = world.run(command, place)
        assert again.code == 0, again.output
    assert files(place).keys() == expected
    return outcome


@pytest.mark.parametrize("command", OUT)
@pytest.mark.kills
def test_a_full_disk_leaves_the_earlier_result(
    command: str,
    world: World,
    earlier: Callable[[str], tuple[Path, Sequence[str]]],
    tmp_path: Path,
) -> None:
    """At each of the first and last events, and at some between."""
    if command == "coreml" and importlib.util.find_spec("coremltools") is None:
        pytest.skip("coremltools is not installed.")
    place, events = earlier(command)
    expected = files(world.folder / f"over {command}").keys()
    last = len(events)
    numbers = {*range(1, 4), *range(max(1, last - 8), last + 1)}
    numbers |= {moment(events, share) for share in (0.3, 0.6, 0.8)}
    failed = 0
    for at in sorted(number for number in numbers if number <= last):
        copy = shutil.copytree(place, tmp_path / str(at))
        failed += check(world, command, copy, at, expected).code == 2
        shutil.rmtree(copy)
    assert failed > 0
