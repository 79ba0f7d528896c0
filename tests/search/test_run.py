"""`edgecmp.search.run` with a real supernet: files, resuming after SIGKILL, and invalid input."""

from __future__ import annotations

import json
import os
import random
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search import run
from edgecmp.search.space.flops import FlopsTable
from edgecmp.training.starts import query_start
from tests.fixtures.small_search import SIZE, save_small_models, small_run

FILES = ("architecture.json", "history.jsonl")
SETTINGS: dict[str, Any] = {"population": 5, "generations": 4, "seed": 3}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_small_models(folder)
    return folder


@pytest.mark.slow
def test_a_killed_search_of_a_real_supernet_ends_the_same(models: Path, tmp_path: Path) -> None:
    """Three SIGKILLs; history and winner equal those of an uninterrupted run, byte for byte."""
    torch_threads = torch.get_num_threads()
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.fixtures.small_search"])
    generator = random.Random(1)
    history = killed / "history.jsonl"
    for lines in (2, 4, 8):
        run_once = context.Process(target=small_run, args=(models, killed), kwargs=SETTINGS)
        run_once.start()
        deadline = time.monotonic() + 120
        while not history.exists() or len(history.read_bytes().splitlines()) < lines:
            assert run_once.is_alive(), "the search ended before it was killed"
            assert time.monotonic() < deadline, "the search made no progress in two minutes"
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.02))
        run_once.kill()
        run_once.join()
    resumed = small_run(models, killed, **SETTINGS)
    assert 0 < resumed.new_evaluations < resumed.evaluations
    first = context.Process(target=small_run, args=(models, uninterrupted), kwargs=SETTINGS)
    first.start()
    first.join()
    assert first.exitcode == 0
    headers, rest = zip(
        *((killed / FILES[1]).read_bytes().split(b"\n", 1) for killed in (uninterrupted, killed)),
        strict=True,
    )
    assert rest[0] == rest[1]
    assert json.loads(headers[0])["search"] == json.loads(headers[1])["search"]
    assert (killed / FILES[0]).read_bytes() == (uninterrupted / FILES[0]).read_bytes()
    assert Architecture.load(killed).input_size == SIZE
    assert torch.get_num_threads() == torch_threads


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"budget": "100MB"}, "Unknown budget"),
        ({"budget": "1M"}, "No architecture of the 100M tier has at most 1,000,000"),
        ({"reward": "r4"}, "Unknown reward.*Did you mean r3"),
        ({"metric": "top11"}, "Unknown metric.*Did you mean top1"),
        ({"seed": -1}, r"--seed must be at least 0 \(got -1\)"),
        ({"population": 0}, "cannot run with a population of 0"),
        ({"generations": 0}, "cannot run with .* 0 generations"),
        ({"data": "emojii"}, "emojii"),
    ],
)
def test_invalid_input_is_named_and_nothing_written(
    models: Path, tmp_path: Path, given: dict[str, object], what: str
) -> None:
    arguments = {
        "budget": "100M",
        "data": "small-emoji",
        "supernet": models / "supernet",
        "gallery": models / "gallery",
        **given,
    }
    with pytest.raises(UserError, match=what):
        run(out=tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_an_infeasible_budget_names_the_smallest_feasible_one(models: Path, tmp_path: Path) -> None:
    table = FlopsTable.of("100M")
    smallest = table.count(table.smallest())
    with pytest.raises(UserError, match=f"--budget {smallest}"):
        small_run(models, tmp_path / "out", "20M")


def test_the_result_names_the_supernet_from_which_the_winner_is_trained(
    models: Path, tmp_path: Path
) -> None:
    found = small_run(models, tmp_path / "search", population=3, generations=1, jobs=1)
    sha256 = SupernetBundle.load(models / "supernet").sha256
    path = os.path.relpath(models / "supernet", tmp_path / "search")
    assert found.supernet == {"path": path, "sha256": sha256}
    assert (
        json.loads((tmp_path / "search" / "result.json").read_text())["supernet"] == found.supernet
    )
    start = query_start(found.architecture, path=tmp_path / "search")
    assert start is not None
    assert start.bundle.sha256 == sha256
