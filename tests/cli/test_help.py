"""Every help opens with examples that hold what they promise, at once and without torch."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer

from edgecmp import api
from edgecmp.benchmarks.paper import TABLES
from edgecmp.cli import choices
from edgecmp.cli.app import app
from edgecmp.pruning.registry import METHODS
from edgecmp.training.recipes import (
    GALLERY_RECIPES,
    QUERY_RECIPES,
    RECIPES,
    SUPERNET_RECIPES,
)
from edgecmp.version import __version__

MAX_FLAGS = 8
"""Flags a command, `--json` and `--help` apart: what goes beyond belongs into a recipe."""

MORE_FLAGS = {
    **{"bench": 9, "latency build": 9, "search": 15, "run": 13},
    **{"train gallery": 10, "train supernet": 14, "train query": 16},
}
"""`--quick` and `--seed` are a promise to users' scripts, a bound needs two flags more, and
`--strategy` and `--input-sizes` choose how and over what the same command searches. Which method
trains depends on the gallery at hand, so it cannot be left to the recipe; length, size, learning
rate, batch and augmentation of a training are what users change first. The size of images is asked
of `bench` for files that fix none, and images without labels are named where a run begins. A
latency table for `run` is measured before there is a supernet, so its sizes are said one by one."""

WORKING_GROUPS = ("recipes",)
"""Groups that do something without a further word."""

GROUPS = ("", "data", "train", "gallery", "latency", "study")

COMMANDS = (
    "run",
    "init",
    "data shard",
    "search",
    "rank",
    "train gallery",
    "train supernet",
    "train query",
    "gallery build",
    "eval",
    "find",
    "recipes",
    "recipes show",
    "flops",
    "prune",
    "export",
    "parity",
    "bench",
    "devices",
    "latency build",
    "latency check",
    "reproduce",
    "study ranking",
    "inspect",
    "doctor",
)


def click_command(path: str) -> Any:
    command: Any = typer.main.get_command(app)
    for name in path.split():
        command = command.commands[name]
    return command


def flags(path: str) -> set[str]:
    return {name for option in click_command(path).params for name in option.opts}


def leaves(command: Any, path: str = "") -> list[str]:
    if not hasattr(command, "commands"):
        return [path.strip()]
    return [
        leaf for name, sub in command.commands.items() for leaf in leaves(sub, f"{path} {name}")
    ]


def test_the_list_of_commands_is_whole() -> None:
    assert sorted([*leaves(click_command("")), *WORKING_GROUPS]) == sorted(COMMANDS)


@pytest.mark.parametrize("command", [*GROUPS, *COMMANDS])
def test_help_opens_with_examples(command: str, edgecmp: Callable[..., Any]) -> None:
    result = edgecmp(*command.split(), "--help")
    assert result.code == 0
    examples = re.search(r"Examples:\n((?:    edgecmp .*\n)+)", result.out)
    assert examples is not None
    assert result.out.index("Examples:") < result.out.index("Options:")
    for line in examples[1].splitlines():
        words = shlex.split(line)
        assert words[0] == "edgecmp"
        path = max((c for c in COMMANDS if words[1:][: len(c.split())] == c.split()), key=len)
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= flags(path), f"an example uses a flag that {path} does not have"
        required = {
            o.opts[0] for o in click_command(path).params if o.required and "--" in o.opts[0]
        }
        assert required <= used, f"an example lacks a flag that {path} requires"


@pytest.mark.parametrize("command", COMMANDS)
def test_few_flags_and_json_on_each(command: str) -> None:
    own = {name for name in flags(command) if name.startswith("--")}
    assert "--json" in own
    assert len(own - {"--json"}) <= MORE_FLAGS.get(command, MAX_FLAGS)


def test_the_choices_in_the_helps_are_those_of_the_registries() -> None:
    assert set(choices.GALLERY_RECIPES) == set(GALLERY_RECIPES)
    assert set(choices.SUPERNET_RECIPES) == set(SUPERNET_RECIPES)
    assert set(choices.QUERY_RECIPES) == set(QUERY_RECIPES)
    assert set(choices.TASK_RECIPES) == set(RECIPES)
    assert set(choices.TABLES) == set(TABLES)
    assert list(choices.METHODS) == api.list_methods()
    assert set(choices.BASELINES) == set(api.list_baselines())
    assert set(choices.REWARDS) == set(api.list_rewards())
    assert set(choices.STRATEGIES) == set(api.list_strategies())
    assert set(choices.TARGETS) == set(api.list_targets())
    assert set(choices.PRUNING_METHODS) == set(METHODS)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("train gallery", choices.GALLERY_RECIPES),
        ("train supernet", choices.SUPERNET_RECIPES),
        ("train query", (*choices.QUERY_RECIPES, *choices.METHODS, *choices.BASELINES)),
        ("reproduce", (*choices.TASK_RECIPES, *choices.TABLES)),
        ("study ranking", choices.TASK_RECIPES),
        ("search", (*choices.REWARDS, *choices.STRATEGIES)),
        ("rank", choices.REWARDS),
        ("export", choices.TARGETS),
        ("prune", choices.PRUNING_METHODS),
        ("flops", choices.BASELINES),
    ],
)
def test_a_help_lists_its_choices(
    command: str, names: tuple[str, ...], edgecmp: Callable[..., Any]
) -> None:
    text = edgecmp(*command.split(), "--help").out
    words = set(re.findall(r"[\w-]+", re.sub(r"-\n +", "-", text)))
    assert set(names) <= words


@pytest.mark.parametrize("command", GROUPS)
def test_a_group_alone_prints_its_help(command: str, edgecmp: Callable[..., Any]) -> None:
    result = edgecmp(*command.split())
    assert result.code == 0
    assert "Commands:" in result.out


def test_version(edgecmp: Callable[..., Any]) -> None:
    assert edgecmp("--version").out == f"edgecmp {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["serch"], ["--version"]])
def test_nothing_heavy_is_imported_for_it(arguments: list[str]) -> None:
    program = (
        "import sys; from edgecmp.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'numpy', 'faiss', 'matplotlib', 'coremltools', 'onnx'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if arguments == ["serch"] else 0), done.stderr
