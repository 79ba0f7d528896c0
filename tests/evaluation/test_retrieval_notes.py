"""What an evaluation says with its figures: altered queries, few of them, a tiny gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from edgecmp import kit
from edgecmp.data import load_dataset
from edgecmp.data.altered_queries import QUERIES_NOTE
from edgecmp.errors import UserError
from edgecmp.evaluation.retrieval import EvaluationReport, evaluate_retrieval
from tests.fixtures.identity_folders import write_identities

SEEN = {"protocol_name": "identities unseen"}


def report(queries: int, gallery_images: int = 50, **given: Any) -> EvaluationReport:
    rows = [
        {"protocol": name, "top1": 40.0, "top5": 60.0, "top10": top10, "top20": 100.0} | SEEN
        for name, top10 in (("gg", 90.0), ("qq", 70.0), ("qg", 80.0))
    ]
    return EvaluationReport(
        rows=rows,
        query="q",
        gallery="g",
        data="photos",
        split="test",
        queries=queries,
        all_queries=given.pop("all_queries", queries),
        gallery_images=gallery_images,
        **given,
    )


def test_figures_of_few_queries_are_said_with_wilsons_interval() -> None:
    few = report(20)
    low, high = binomtest(8, 20).proportion_ci(0.95, method="wilson")
    assert few.intervals["qg"]["top1"] == (round(100 * low, 2), round(100 * high, 2))
    assert few.to_dict()["intervals"]["gg"]["top10"] == few.intervals["gg"]["top10"]
    assert "From only 20 queries" in few.sentences()[-1]
    assert "top-1 at 21.9 to 61.3 and top-10 at 58.4 to 91.9 %" in few.sentences()[-1]
    assert report(100).sentences() == ["The compatibility rule M(q,g) > M(q,q) holds at top-10."]


def test_the_rule_is_not_said_of_a_gallery_of_ten_images() -> None:
    assert "The gallery has only 10 images" in report(200, 10).sentences()[0]
    assert not any("holds" in sentence for sentence in report(200, 10).sentences())
    assert "holds" in report(200, 11).sentences()[0]


def test_a_part_of_the_queries_is_said() -> None:
    assert "Only 200 of 4,512 queries were used." in report(200, all_queries=4512).sentences()
    assert report(200, all_queries=4512).to_dict()["all_queries"] == 4512


def test_a_limit_takes_evenly_spaced_queries_and_keeps_the_gallery(tmp_path: Path) -> None:
    data = write_identities(tmp_path / "photos", {"train": 3, "validation": 2, "test": 4})
    whole = load_dataset(data).retrieval("test")
    task = whole.limited(4)
    assert task.queries.keys == tuple(whole.queries.keys[place] for place in (0, 4, 7, 11))
    assert task.gallery is whole.gallery
    assert whole.limited(None) is whole
    assert whole.limited(12) is whole
    with pytest.raises(UserError, match="--limit must be at least 1"):
        whole.limited(0)
    found = evaluate_retrieval(gallery=None, data=str(data), limit=4)
    assert (found.queries, found.all_queries) == (4, 12)
    with pytest.raises(UserError, match="ranking of all queries"):
        evaluate_retrieval(gallery=None, data=str(data), limit=4, results=tmp_path / "found.json")


def test_altered_queries_are_said_in_text_and_json(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(10):
        pattern = random.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pattern).save(tmp_path / f"{number}.png")
    found = evaluate_retrieval(kit.path("query"), gallery=kit.path("gallery"), data=str(tmp_path))
    assert found.queries == found.gallery_images == 4
    assert QUERIES_NOTE in found.sentences()
    assert QUERIES_NOTE in str(found)
    assert QUERIES_NOTE in found._repr_html_()
    assert found.to_dict()["queries_note"] == QUERIES_NOTE


@pytest.mark.parametrize("note", ["", QUERIES_NOTE])
def test_the_note_is_left_out_where_there_is_none(note: str) -> None:
    said = report(200, queries_note=note)
    assert (note in said.sentences()) == bool(note)
    assert len(said.sentences()) == 1 + bool(note)
