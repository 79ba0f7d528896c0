"""The study of adapters: its figures are those of numpy, and the first row is M(g,g)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecmp import kit
from edgecmp.benchmarks.studies.adapter_study import main
from edgecmp.data import load_dataset
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.gallery.source import open_source
from scripts import pack_emoji


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The table of 300 drawings."""
    folder = tmp_path_factory.mktemp("photos") / "packed"
    pack_emoji.main(["--out", str(folder), "--images", "300", "--shape", "manifest", "--splits"])
    return str(folder / "photos.csv")


def test_the_test_split_is_that_of_eval_and_maps_are_those_of_numpy(
    photos: str, tmp_path: Path
) -> None:
    main(["--data", photos, "--split", "test", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "adapter.json").read_text())["rows"]
    assert len(rows) == 11
    evaluated = evaluate_retrieval(kit.path("query"), gallery=None, data=photos).rows
    known = next(row for row in evaluated if row["protocol"] == "gg")
    assert [rows[0][name] for name in ("top1", "top10")] == [known["top1"], known["top10"]]
    dataset, source = load_dataset(photos), open_source(None)
    train = source.embeddings(dataset.train).astype(np.float64)
    spread = np.cov(train.T)
    spread = spread / np.trace(spread) * len(spread) + np.eye(len(spread))
    task = dataset.retrieval("test")
    asked = source.embeddings(task.queries) - train.mean(0)
    scores = np.linalg.solve(spread, asked.T).T @ source.embeddings(task.gallery).T
    best = task.gallery.identities[scores.argmax(1)]
    row = next(row for row in rows if row["queries"] == "images, shrinkage 1")
    expected = 100 * float((best == task.queries.identities).mean())
    assert row["top1"] == pytest.approx(expected, abs=0.01)


def test_the_hold_out_is_among_training_images(photos: str, tmp_path: Path) -> None:
    main(["--data", photos, "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "adapter.json").read_text())["rows"]
    evaluated = evaluate_retrieval(
        kit.path("query"), gallery=None, data=photos, split="validation"
    ).rows
    known = next(row for row in evaluated if row["protocol"] == "gg")
    assert rows[0]["top1"] <= known["top1"]
    assert 0 < rows[0]["rank"] <= 1
