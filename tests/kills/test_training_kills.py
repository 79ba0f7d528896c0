"""A training that is killed at any write ends, when it is run again, as if nothing had happened.

In each case a real command dies before one of its writes, renames, removals or fsyncs; the same
command is then run again. The folder must be that of an undisturbed run: the weights byte for byte,
every other file except for times, and no other file beside them.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgecmp.networks.architecture import Architecture
from tests.fixtures.identity_folders import write_identities
from tests.kills.harness import Killer, Outcome, contents, moment, started

COMMAND = "tests.kills.trainings:command"
SPLITS = {"train": 8, "validation": 10, "test": 6}

KILLS: dict[str, tuple[float | int, ...]] = {
    "query": (0.0, 0.1, 0.25, 0.4, 0.55, *range(-24, 0)),
    "views": (0.0, 0.05, 0.1, 0.3, 0.5, 0.7, -16, -9, -5, -2),
    "gallery": (0.2, 0.5, -12, -8, -4, -1),
    "supernet": (0.1, 0.3, 0.45, 0.6, 0.75, -10, -5, -1),
    "reproduce": (0.15, 0.3, 0.5, 0.7, 0.85, -20, -9, -1),
}
"""By command: when it is killed, see `moment`. Whole numbers are in the final phase, after the last
epoch is in the checkpoint."""


@dataclass(frozen=True)
class World:
    """What the commands read, and where they write.

    Attributes:
        killer: runs them.
        folder: of the data and the models.
    """

    killer: Killer
    folder: Path

    def arguments(self, command: str, out: Path) -> Sequence[object]:
        """The command line."""
        data = ("--data", self.folder / "images", "--out", out)
        gallery = ("--gallery", self.folder / "gallery")
        recipe = ("train", command, "--recipe", "short", *data)
        return {
            "query": (*recipe, *gallery, "--architecture", self.folder / "architecture.json"),
            "views": (
                *("train", "query", "--recipe", "views", *data, *gallery),
                *("--architecture", self.folder / "architecture.json"),
            ),
            "gallery": (*recipe, "--start", self.folder / "gallery"),
            "supernet": (*recipe, *gallery),
            "reproduce": (
                *("reproduce", "table3", "--recipe", "emoji-tiny", "--systems", "ShuffleNetV2"),
                *data,
                *gallery,
            ),
        }[command]

    def run(self, command: str, out: Path, die_at: int | None = None) -> Any:
        """Runs the command to its end, or to its death."""
        arguments = self.arguments(command, out)
        if die_at is not None:
            return self.killer.killed(COMMAND, *arguments, watched=out, die_at=die_at)
        outcome = self.killer.run(COMMAND, *arguments, watched=out)
        assert outcome.code == 0, outcome.output
        return outcome


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    write_identities(folder / "images", SPLITS)
    Architecture.random("100M", seed=0, input_size=32).save(folder / "architecture.json")
    with started(tmp_path_factory.mktemp("scratch"), "tests.kills.trainings") as killer:
        made = killer.run(
            *(COMMAND, "train", "gallery", "--recipe", "tiny", "--data", folder / "images"),
            *("--out", folder / "gallery"),
            watched=folder / "gallery",
        )
        assert made.code == 0, made.output
        yield World(killer, folder)


@pytest.fixture(scope="module")
def undisturbed(world: World) -> Callable[[str], tuple[Sequence[str], dict[str, Any]]]:
    """The events and the result of a command that nobody killed."""
    known: dict[str, tuple[Sequence[str], dict[str, Any]]] = {}

    def get(command: str) -> tuple[Sequence[str], dict[str, Any]]:
        if command not in known:
            out = world.folder / f"undisturbed-{command}"
            events = world.run(command, out).events
            known[command] = events, contents(out)
        return known[command]

    return get


@pytest.mark.parametrize(
    ("command", "when"),
    [
        pytest.param(command, when, id=f"{command} {when}")
        for command, moments in KILLS.items()
        for when in moments
    ],
)
@pytest.mark.kills(quick=["query 0.4", "query -9", "views 0.3"])
def test_a_killed_command_ends_as_if_nothing_had_happened(
    command: str,
    when: float | int,
    world: World,
    undisturbed: Callable[[str], tuple[Sequence[str], dict[str, Any]]],
    tmp_path: Path,
) -> None:
    events, expected = undisturbed(command)
    world.run(command, tmp_path / "out", die_at=moment(events, when))
    world.run(command, tmp_path / "out")
    assert contents(tmp_path / "out") == expected


@pytest.mark.kills
def test_a_command_that_is_killed_again_and_again_ends_the_same(
    world: World,
    undisturbed: Callable[[str], tuple[Sequence[str], dict[str, Any]]],
    tmp_path: Path,
) -> None:
    """Each run dies a few events later than the one before."""
    _, expected = undisturbed("query")
    out, kills = tmp_path / "out", 0
    arguments = world.arguments("query", out)

    def run() -> Outcome:
        return world.killer.run(COMMAND, *arguments, watched=out, die_at=4 + 5 * kills)

    while (outcome := run()).code == -signal.SIGKILL:
        kills += 1
    assert outcome.code == 0, outcome.output
    assert kills >= 4
    assert contents(out) == expected


@pytest.mark.parametrize("happens", ["disk stays full", "SIGINT"])
@pytest.mark.parametrize("when", [0.0, 0.2, 0.5, 0.65, -20, -16, -12])
@pytest.mark.kills(quick=["0.5-disk stays full"])
def test_a_full_disk_or_a_signal_costs_no_epoch(
    when: float | int,
    happens: str,
    world: World,
    undisturbed: Callable[[str], tuple[Sequence[str], dict[str, Any]]],
    tmp_path: Path,
) -> None:
    """It is one sentence, no temporary file is left, and the same command goes on."""
    events, expected = undisturbed("query")
    out = tmp_path / "out"
    outcome = world.killer.run(
        COMMAND,
        *world.arguments("query", out),
        watched=out,
        die_at=moment(events, when),
        happens=happens,
    )
    assert outcome.code == 2, outcome.output
    assert "Traceback" not in outcome.output
    said = "Interrupted." if happens == "SIGINT" else "The disk is full"
    assert f"error: {said}" in outcome.output
    assert [path for path in out.rglob("*") if path.name.endswith(".part")] == []
    kept = out / "checkpoint" / "checkpoint.json"
    epoch = json.loads(kept.read_text())["epoch"] if kept.exists() else 0
    again = world.run("query", out)
    assert (f"Resuming after epoch {epoch} of 3" in again.output) == bool(epoch)
    assert contents(out) == expected
