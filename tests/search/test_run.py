"""`edgecmp.search.run` on real parts: what it writes, resume after SIGKILL, and bad input."""

from __future__ import annotations

import json
import random
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search import run
from edgecmp.search.space.flops import FlopsTable
from tests.fixtures.small_search import SIZE, save_tiny_models, tiny_run

FILES = ("architecture.json", "history.jsonl")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny_models(folder)
    return folder


def test_killed_with_a_real_supernet_it_ends_the_same(models: Path, tmp_path: Path) -> None:
    """Three SIGKILLs; history and winner equal those of the undisturbed run, byte for byte."""
    torch_threads = torch.get_num_threads()
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.fixtures.small_search"])
    generator = random.Random(1)
    history = killed / "history.jsonl"
    for lines in (2, 4, 8):
        run_once = context.Process(target=tiny_run, args=(models, killed))
        run_once.start()
        deadline = time.monotonic() + 120
        while not history.exists() or len(history.read_bytes().splitlines()) < lines:
            assert run_once.is_alive(), "the search ended before it was killed"
            assert time.monotonic() < deadline, "the search made no progress in two minutes"
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.02))
        run_once.kill()
        run_once.join()
    resumed = tiny_run(models, killed)
    assert 0 < resumed.new_evaluations < resumed.evaluations
    first = context.Process(target=tiny_run, args=(models, undisturbed))
    first.start()
    first.join()
    assert first.exitcode == 0
    headers, rest = zip(
        *((killed / FILES[1]).read_bytes().split(b"\n", 1) for killed in (undisturbed, killed)),
        strict=True,
    )
    assert rest[0] == rest[1]
    assert json.loads(headers[0])["search"] == json.loads(headers[1])["search"]
    assert (killed / FILES[0]).read_bytes() == (undisturbed / FILES[0]).read_bytes()
    assert Architecture.load(killed).input_size == SIZE
    assert torch.get_num_threads() == torch_threads


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"budget": "100MB"}, "Unknown budget"),
        ({"budget": "1M"}, "No architecture of the 100M tier has at most 1,000,000"),
        ({"reward": "r4"}, "Unknown reward.*Did you mean r3"),
        ({"metric": "top11"}, "Unknown metric.*Did you mean top1"),
        ({"seed": -1}, "A seed of -1"),
        ({"population": 0}, "cannot run"),
        ({"generations": 0}, "cannot run"),
        ({"data": "emojii"}, "emojii"),
    ],
)
def test_bad_input_is_named_and_writes_nothing(
    models: Path, tmp_path: Path, given: dict[str, object], what: str
) -> None:
    settings = {"budget": "100M", "data": "tiny-emoji", **given}
    with pytest.raises(UserError, match=what):
        run(
            settings.pop("budget"),  # type: ignore[arg-type]
            out=tmp_path / "out",
            supernet=models / "supernet",
            gallery=models / "gallery",
            **settings,  # type: ignore[arg-type]
        )
    assert not (tmp_path / "out").exists()


def test_an_infeasible_budget_names_the_smallest_feasible_one(models: Path, tmp_path: Path) -> None:
    table = FlopsTable.of("100M")
    smallest = table.count(table.smallest())
    with pytest.raises(UserError, match=f"--budget {smallest}"):
        run("20M", out=tmp_path / "out", supernet=models / "supernet", gallery=models / "gallery")
