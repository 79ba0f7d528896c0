"""Gallery builds, shards, latency tables and searches that are killed, ended or out of space.

In each case something happens to a real command before one of its writes, renames, removals or
fsyncs, and it is then run again: the folder must be that of an undisturbed run, with no other file.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.identity_folders import write_identities
from tests.fixtures.small_disk import small_disk
from tests.fixtures.small_search import save_small_models
from tests.kills.harness import Killer, Outcome, contents, moment, started

COMMAND = "tests.kills.works:command"
SPLITS = {"train": 8, "validation": 10, "test": 20}

Moments = dict[str, tuple[float | str, ...]]

WRITING: Moments = {
    "gallery build": (
        *("mkdir /out/.files", "open .*new/images", "rename .*embeddings", "rename .*new/images"),
        *("rename .*new/manifest", r"rmdir .*part$"),
        *("remove .*pieces/", "remove .*settings", "rmdir /out/.unfinished$"),
    ),
    "data shard": (
        *("open .*rows", "rename .*rows", "open .*shards.json", "rename .*shards.json"),
        *("rename .*pieces$", "remove .*settings", "remove .*sha256", "rmdir .*unfinished$"),
    ),
    "latency build": (
        *("open .*table.json.+part", "rename .*table.json", "remove .*runs"),
        *("open .*png", "rename .*png"),
    ),
    "search": (
        *("mkdir /out/.files", "open .*architecture.json", "open .*png", "open .*result.json"),
        *("rename .*architecture.json", "rename .*new/search.png", "rename .*new/result.json"),
        r"rmdir .*part$",
    ),
}
"""By command: events of the final phase, when the result is written."""

WRITING_OVER: Moments = {
    "gallery build": ("link .*out/embeddings", "link .*out/images", "rename .*new/images"),
    "search": ("link .*out/search.png", "rename .*new/result.json"),
}
"""By command: events while the result is written over an earlier one."""

WORKING: Moments = {
    "gallery build": (0.0, 0.3, 0.5),
    "data shard": (0.0, 0.3, 0.6),
    "latency build": (0.1, 0.5),
    "search": (0.0, 0.2, 0.5),
}
"""By command: shares of all events that are done, most of them before the final phase."""

KILLS = {command: WORKING[command] + WRITING[command] for command in WRITING}

Undisturbed = Callable[[str], tuple[Sequence[str], dict[str, Any]]]

OTHER = "other images"

EARLIER: dict[str, tuple[object, ...]] = {
    "gallery build": ("--data", OTHER),
    "latency build": ("--threads", "2"),
    "search": (),  # a finished search that is run again writes its result again
}
"""By command: further arguments that give an earlier result in the same place another content."""


@dataclass(frozen=True)
class World:
    """What the commands read, and where they write.

    Attributes:
        killer: runs them.
        folder: of the data and the models.
    """

    killer: Killer
    folder: Path

    def run(
        self, command: str, place: Path, *more: object, die_at: int | None = None, **how: Any
    ) -> Outcome:
        """Runs a command that writes into `place`."""
        place.mkdir(exist_ok=True)
        line: Sequence[object] = {
            "gallery build": (
                *("--model", self.folder / "models" / "gallery"),
                *("--data", self.folder / "images", "--out", place / "out"),
            ),
            "data shard": ("--data", self.folder / "images", "--out", place / "out", "--size", 24),
            "latency build": ("--out", place / "table.json"),
            "search": ("--budget", "100M", "--out", place / "out"),
        }[command]
        further = (self.folder / OTHER if one == OTHER else one for one in more)
        arguments = (*command.split(), *line, *further)
        return self.killer.run(COMMAND, *map(str, arguments), watched=place, die_at=die_at, **how)

    def run_again(self, command: str, place: Path) -> None:
        """Runs an interrupted command to its end; shards that are complete are not written over."""
        complete = command == "data shard" and (place / "out").exists()
        outcome = self.run(command, place)
        assert outcome.code == (2 if complete else 0), outcome.output
        assert not complete or "already exists" in outcome.output


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    write_identities(folder / "images", SPLITS)
    write_identities(folder / OTHER, {**SPLITS, "test": 5})
    save_small_models(folder / "models")
    with started(tmp_path_factory.mktemp("scratch"), "tests.kills.works") as killer:
        yield World(killer, folder)


@pytest.fixture(scope="module")
def undisturbed(world: World) -> Undisturbed:
    """The events and the result of a command that nothing happened to."""
    known: dict[str, tuple[Sequence[str], dict[str, Any]]] = {}

    def get(command: str) -> tuple[Sequence[str], dict[str, Any]]:
        if command not in known:
            place = world.folder / f"undisturbed {command}"
            outcome = world.run(command, place)
            assert outcome.code == 0, outcome.output
            known[command] = outcome.events, result_of(command, place)
        return known[command]

    return get


@pytest.fixture(scope="module")
def events_over(world: World) -> Callable[[str], Sequence[str]]:
    """The events of a command that writes over an earlier result, if it is one that does."""
    known: dict[str, Sequence[str]] = {}

    def get(command: str) -> Sequence[str]:
        if command not in known:
            place = world.folder / f"over {command}"
            if command in EARLIER:
                assert world.run(command, place, *EARLIER[command]).code == 0
            known[command] = world.run(command, place).events
        return known[command]

    return get


def result_of(command: str, place: Path) -> dict[str, Any]:
    """What is in a folder, without what differs in a run that resumed, or elsewhere."""
    found = contents(place)
    if command == "search" and "out/result.json" in found:
        document = found["out/result.json"]
        del document["new_evaluations"], document["files"]
    return found


def event(events: Sequence[str], when: float | str) -> int:
    """The number of an event, from 1: the last one that a pattern matches, or at a share of all."""
    if isinstance(when, float):
        return moment(events, when)
    return max(at for at, told in enumerate(events, start=1) if re.search(when, told))


def cases(moments: Moments) -> list[Any]:
    """Parameters: each command at each of its moments."""
    return [
        pytest.param(command, when, id=f"{command} {when}")
        for command, whens in moments.items()
        for when in whens
    ]


@pytest.mark.parametrize(("command", "when"), cases(KILLS))
@pytest.mark.kills(
    quick=[
        *("gallery build 0.5", "gallery build rename .*new/images", "data shard 0.3"),
        *("data shard rename .*pieces$", "search rename .*new/search.png"),
    ]
)
def test_a_killed_command_ends_as_if_nothing_had_happened(
    command: str, when: float | str, world: World, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    events, expected = undisturbed(command)
    place = tmp_path / "it"
    killed = world.run(command, place, die_at=event(events, when))
    assert killed.code == -9, killed.output
    world.run_again(command, place)
    assert result_of(command, place) == expected


@pytest.mark.parametrize("happens", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize(("command", "when"), cases(WRITING_OVER))
@pytest.mark.kills(quick=["gallery build link .*out/images-SIGKILL"])
def test_a_command_that_ends_while_it_writes_over_an_earlier_result(
    command: str,
    when: str,
    happens: str,
    world: World,
    undisturbed: Undisturbed,
    events_over: Callable[[str], Sequence[str]],
    tmp_path: Path,
) -> None:
    events, expected = events_over(command), undisturbed(command)[1]
    place = tmp_path / "it"
    with_earlier_result(world, command, place)
    ended = world.run(command, place, die_at=event(events, when), happens=happens)
    assert ended.code == (-9 if happens == "SIGKILL" else 2), ended.output
    world.run_again(command, place)
    assert result_of(command, place) == expected


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize(("command", "when"), cases(KILLS))
@pytest.mark.kills(
    quick=[
        *("gallery build 0.5-SIGTERM", "data shard 0.3-SIGINT", "latency build 0.1-SIGTERM"),
        *("search rename .*new/search.png-SIGTERM", "search 0.5-SIGHUP"),
    ]
)
def test_a_signal_ends_a_command_with_a_sentence(
    command: str,
    when: float | str,
    signal: str,
    world: World,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> None:
    events, expected = undisturbed(command)
    place = tmp_path / "it"
    ended = world.run(command, place, die_at=event(events, when), happens=signal)
    assert ended.code == 2, ended.output
    assert "Traceback" not in ended.output
    assert ended.output.splitlines()[-1].startswith("error: Interrupted. ")
    assert temporaries(place) == []
    world.run_again(command, place)
    assert result_of(command, place) == expected


def with_earlier_result(world: World, command: str, place: Path) -> None:
    """Makes `place`, with a finished result of other settings in it."""
    earlier = world.folder / f"earlier {command}"
    if not earlier.exists():
        assert world.run(command, earlier, *EARLIER[command]).code == 0
    shutil.copytree(earlier, place)


def temporaries(place: Path) -> list[Path]:
    """The temporary files and folders that were left behind."""
    return [path for path in place.rglob("*") if path.name.endswith(".part")]


def run_on_a_full_disk(
    world: World, command: str, place: Path, expected: dict[str, Any], at: int, happens: str
) -> Outcome:
    """Runs the command on a disk that is full from an event on, and again when it is not.

    Returns:
        How the first run ended.
    """
    if command in EARLIER:
        with_earlier_result(world, command, place)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    outcome = world.run(command, place, die_at=at, happens=happens)
    told = outcome.output.splitlines()[-1] if outcome.output else ""
    assert outcome.code in (0, 2), f"{at}: {outcome.output}"
    if outcome.code == 2:
        assert told.startswith("error: "), outcome.output
        assert "Traceback" not in outcome.output
        assert "No space left" in told or "The disk is full" in told
        assert ".part" not in told
        assert ".unfinished" not in told
        for path, content in before.items():
            assert path.read_bytes() == content, f"{path} was changed at {at}: {told}"
    assert temporaries(place) == [], f"{at}: {told}"
    world.run_again(command, place)
    assert result_of(command, place) == expected, f"{at}: {told}"
    return outcome


@pytest.mark.parametrize("happens", ["disk full", "disk stays full"])
@pytest.mark.parametrize("command", KILLS)
@pytest.mark.kills
def test_a_disk_that_is_full_at_any_write_costs_nothing(
    command: str,
    happens: str,
    world: World,
    undisturbed: Undisturbed,
    events_over: Callable[[str], Sequence[str]],
    tmp_path: Path,
) -> None:
    """The first and last events in turn, and some of the many between that repeat."""
    events, expected = events_over(command), undisturbed(command)[1]
    last = len(events)
    numbers = sorted(
        {*range(1, 20), *range(20, last - 30, 1 + last // 15), *range(last - 30, last)}
    )
    failed = 0
    for at in numbers:
        place = tmp_path / str(at)
        outcome = run_on_a_full_disk(world, command, place, expected, at, happens)
        failed += outcome.code == 2
        shutil.rmtree(place)
    assert failed >= 1


@pytest.mark.parametrize(
    ("command", "when"),
    cases(
        {
            "gallery build": ("open .*new/images",),
            "data shard": (0.5,),
            "latency build": ("open .*table.json.+part",),
            "search": ("open .*result.json",),
        }
    ),
)
def test_a_full_disk_costs_nothing(
    command: str,
    when: float | str,
    world: World,
    undisturbed: Undisturbed,
    events_over: Callable[[str], Sequence[str]],
    tmp_path: Path,
) -> None:
    events, expected = events_over(command), undisturbed(command)[1]
    at = event(events, when)
    place = tmp_path / "it"
    outcome = run_on_a_full_disk(world, command, place, expected, at, "disk stays full")
    assert outcome.code == 2, events[at - 1]


@pytest.mark.parametrize("command", KILLS)
@pytest.mark.kills(quick=["gallery build"])
def test_a_real_disk_that_is_full_costs_nothing(
    command: str, world: World, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """With less and less room for the new result, beside an earlier one."""
    expected = undisturbed(command)[1]
    size = sum(len(content) for content in expected.values() if isinstance(content, bytes))
    failed = 0
    with small_disk(tmp_path / "disk", kilobytes=1500 + 3 * size // 1000) as disk:
        for share in (0.0, 0.4, 0.8, 1.3):
            place = disk / "it"
            if command in EARLIER:
                assert world.run(command, place, *EARLIER[command]).code == 0
            before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
            room = shutil.disk_usage(disk).free - int(share * size)
            (disk / "filler").write_bytes(bytes(max(0, room)))
            outcome = world.run(command, place)
            (disk / "filler").unlink()
            if outcome.code:
                failed += 1
                told = outcome.output.splitlines()[-1]
                assert "The disk is full" in told or "No space left" in told
                assert all(path.read_bytes() == content for path, content in before.items())
                assert temporaries(place) == []
            world.run_again(command, place)
            assert result_of(command, place) == expected
            shutil.rmtree(place)
    assert failed > 0
