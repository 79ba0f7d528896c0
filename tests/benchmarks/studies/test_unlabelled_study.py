"""The study of images without labels: its arms see as many images, and name their protocol."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecmp.benchmarks.studies import unlabelled_study
from edgecmp.benchmarks.studies.unlabelled_study import ARMS, Study, summary
from edgecmp.data import load_dataset


def test_a_share_of_the_identities_keeps_its_labels(small: str) -> None:
    study = Study(out=Path(), architecture=Path(), gallery=Path(), data=small, share=0.25)
    dataset, (rest,) = study.images()
    whole = load_dataset(small).train
    assert len(dataset.train.identity_names) == 2
    assert sorted(dataset.train.keys + rest.keys) == sorted(whole.keys)  # type: ignore[union-attr]
    given = replace(study, unlabelled=(Path("camera-roll"),)).images()
    assert given[0].train.fingerprint == whole.fingerprint
    assert given[1] == [Path("camera-roll")]


@pytest.mark.slow
def test_every_arm_sees_as_many_images_and_names_its_protocol(small: str, tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path), "--data", small, "--seeds", "0", "--epochs", "4"]
    unlabelled_study.main([*arguments, "--recipe", "tiny", "--supernet", "none"])
    document = json.loads((tmp_path / "unlabelled.json").read_text())
    cells = document["cells"]
    assert [cell["arm"] for cell in cells] == list(ARMS)
    assert [cell["protocol_name"] for cell in cells] == [
        "identities unseen",
        "identities unseen",
        "gallery known",
    ]
    assert [cell["epochs"] for cell in cells] == [4, 1, 1]
    seen = [cell["epochs"] * (cell["labelled"] + cell["more"]) for cell in cells]
    assert max(seen) <= 1.3 * min(seen)
    assert cells[2]["more"] == cells[1]["more"] + 8
    rows = document["rows"]
    assert [row["protocol_name"] for row in rows] == [cell["protocol_name"] for cell in cells]


def test_the_summary_has_means_and_the_spread() -> None:
    cell = {"arm": "labelled", "protocol_name": "identities unseen", "labelled": 8, "more": 0}
    cell |= {"epochs": 2, "qg_top1": 1.0, "qg_top10": 10.0, "qq_top1": 2.0, "qq_top10": 20.0}
    other = {**cell, "qg_top10": 13.0, "seconds": 30.0}
    (row,) = summary([{**cell, "seconds": 10.0}, other])
    assert (row["qg_top10"], row["spread"], row["seconds"], row["seeds"]) == (11.5, 3.0, 20.0, 2)
    assert np.isclose(row["qq_top1"], 2.0)
