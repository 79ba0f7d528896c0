"""The study of methods: cells are kept, rows are means over seeds, other settings are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecmp import Architecture, UserError
from edgecmp.benchmarks.studies.methods_study import main, summary
from edgecmp.data import DATASETS, Dataset
from tests.fixtures.small_search import save_small_models, small_emoji


def holdout_as_test(gallery_domain: str | None = None) -> Dataset:
    """The small emoji set, whose test split is its hold-out."""
    dataset = small_emoji()
    return replace(dataset, name="small-emoji", test=dataset.validation)


def test_cells_are_trained_once_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "small-emoji", holdout_as_test)
    save_small_models(tmp_path)
    architecture = Architecture.random("100M", seed=0)
    architecture.save(tmp_path / "architecture.json")
    arguments = [
        *("--out", tmp_path / "study", "--gallery", tmp_path / "gallery", "--data", "small-emoji"),
        *("--architecture", tmp_path / "architecture.json", "--recipe", "tiny", "--epochs", 1),
        *("--seeds", 0, "--methods", "scratch", "regression-cosine+csd"),
    ]
    main([str(argument) for argument in arguments])
    first = capsys.readouterr().out
    assert "regression-cosine+csd" in first
    document = json.loads((tmp_path / "study" / "methods.json").read_text())
    (one, other) = document["cells"]
    assert one["settings"]["images_seen"] == other["settings"]["images_seen"] == 128
    names = [method["name"] for method in other["settings"]["recipe"]["methods"]]
    assert names == ["regression-cosine", "csd"]
    assert (tmp_path / "study" / "methods.png").read_bytes()[1:4] == b"PNG"
    # Not called again:
    monkeypatch.setattr("edgecmp.benchmarks.studies.methods_study.train_query", None)
    main([str(argument) for argument in arguments])
    assert capsys.readouterr().out == first
    for other_settings in (["--epochs", 2], ["--supernet", "kit"]):
        with pytest.raises(UserError, match="contains a cell with other settings"):
            main([str(argument) for argument in [*arguments, *other_settings]])


def test_rows_are_means_over_seeds_and_sorted() -> None:
    random = np.random.default_rng(0)

    def cell(method: str, ten: float) -> dict[str, Any]:
        scores = {f"qg_{name}": float(random.uniform(0, 50)) for name in ("top1", "tar_far1e-3")}
        scores |= {"qq_top1": 40.0, "qq_top10": 70.0, "qg_top10": ten}
        return {"settings": {"method": method}, "scores": scores, "seconds": 120.0}

    rows = summary([cell("a", 60.0), cell("b", 80.0), cell("a", 72.0), cell("b", 81.5)])
    assert [row["method"] for row in rows] == ["b", "a"]
    assert [row["qg_top10"] for row in rows] == [80.75, 66.0]
    assert [row["spread"] for row in rows] == [1.5, 12.0]
    assert [row["rule"] for row in rows] == ["2 of 2", "1 of 2"]
    assert rows[0]["minutes"] == 2.0
