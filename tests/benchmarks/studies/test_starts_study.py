"""The study of starts: its rows, its rotation, and that nothing is trained twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecmp import UserError
from edgecmp.benchmarks.studies.starts_study import ARMS, main, rotated
from edgecmp.data import DATASETS, Dataset, load_dataset
from edgecmp.gallery.source import open_source
from tests.fixtures.small_search import save_small_models, small_emoji


def few_emoji(gallery_domain: str | None = None) -> Dataset:
    """The emoji set with 400 of its training images."""
    emoji = load_dataset("emoji")
    train = emoji.train.subset(np.arange(0, len(emoji.train), 17)[:400]).relabelled()
    return replace(emoji, name="few-emoji", train=train)


@pytest.mark.slow
def test_an_epoch_from_the_kit_is_worth_more_than_three_from_random_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a new head, and before the first step; the study then trains nothing twice."""
    monkeypatch.setitem(DATASETS, "few-emoji", few_emoji)
    arguments = [*("--out", tmp_path / "study", "--data", "few-emoji", "--width", 200)]
    main([str(argument) for argument in arguments])
    first = capsys.readouterr()
    rows = json.loads((tmp_path / "study" / "starts.json").read_text())["rows"]
    assert [(row["start"], row["epochs"]) for row in rows] == [
        (arm.name, arm.epochs) for arm in ARMS
    ]
    none, kept, fitted = rows
    for row in (kept, fitted):
        assert row["before"] > none["before"] + 50
        assert row["qg_top10"] > none["qg_top10"] + 30
    assert "with a new head that was fitted to" in first.err
    main([str(argument) for argument in (*arguments, "--arms", 1)])
    assert "so nothing is trained" in capsys.readouterr().err
    again = json.loads((tmp_path / "study" / "starts.json").read_text())["rows"]
    assert again == [kept]


def test_a_rotation_keeps_all_distances_and_needs_room(tmp_path: Path) -> None:
    save_small_models(tmp_path, embedding_dim=16)
    source, dataset = open_source(tmp_path / "gallery"), small_emoji()
    table = rotated(source, dataset, 40)
    for images in (dataset.train, dataset.validation):
        before, after = source.embeddings(images), table.embeddings(images)
        assert after.shape == (len(images), 40)
        np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-5)
    with pytest.raises(UserError, match="of 16 values cannot be rotated into a space of 8"):
        rotated(source, dataset, 8)
