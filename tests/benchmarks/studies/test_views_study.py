"""The study of views: all arms get the same time, and differ in their targets only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgecmp.benchmarks.studies import views_study
from edgecmp.benchmarks.studies.views_study import ARMS, Pace, summary
from edgecmp.training.recipes import query_recipe


def test_the_epochs_of_all_arms_take_the_same_time() -> None:
    pace = Pace(network=2.0, gallery=10.0)
    epochs = {name: pace.epochs(arm, 600.0) for name, arm in ARMS.items()}
    assert epochs == {
        "regression": 300,
        "fresh": 50,
        "1 view": 295,
        "4 views": 280,
        "8 views": 260,
    }
    for name, count in epochs.items():
        embedded = 0 if name == "regression" else min(count, ARMS[name].views or count)
        assert count * 2.0 + embedded * 10.0 == pytest.approx(600.0)
    # fewer epochs than views: the gallery model runs in each
    assert pace.epochs(ARMS["8 views"], 60.0) == pace.epochs(ARMS["fresh"], 60.0) == 5
    assert pace.epochs(ARMS["fresh"], 0.1) == 1


def test_arms_differ_in_their_targets_only() -> None:
    base = query_recipe("tiny")
    recipes = [arm.recipe(base) for arm in ARMS.values()]
    assert len(set(recipes)) == len(ARMS)
    for recipe in recipes:
        assert replace(recipe, methods=base.methods, views=base.views) == base


@pytest.mark.slow
def test_cells_are_trained_and_written(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(tmp_path), "--data", small, "--recipe", "tiny", "--supernet", "none"]
    arguments += ["--seconds", "1", "--seeds", "0", "--arms", "regression", "4 views"]
    views_study.main(arguments)
    first = capsys.readouterr().out
    document = json.loads((tmp_path / "views.json").read_text())
    assert [row["arm"] for row in document["rows"]] == ["regression", "4 views"]
    views_study.main(arguments)
    assert capsys.readouterr().out == first  # nothing is trained or timed again


def test_the_summary_has_means_and_the_spread() -> None:
    cell = {"arm": "fresh", "epochs": 5, "qg_top1": 1.0, "qg_top10": 10.0, "qq_top1": 2.0}
    cell |= {"qq_top10": 20.0}
    (row,) = summary([{**cell, "seconds": 10.0}, {**cell, "qg_top10": 13.0, "seconds": 30.0}])
    assert (row["qg_top10"], row["spread"], row["seconds"], row["seeds"]) == (11.5, 3.0, 20.0, 2)
