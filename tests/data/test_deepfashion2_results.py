"""DeepFashion2's results have our top-k under the official rule, reimplemented here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecmp.data import Dataset, load_dataset
from edgecmp.data.deepfashion2_results import DeepFashion2Results
from edgecmp.data.shard_writer import write_shards
from edgecmp.errors import UserError
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.metrics import ranked, top_k
from tests.fixtures.deepfashion2_layout import items_of, write_deepfashion2

Box = tuple[float, ...]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_deepfashion2(tmp_path_factory.mktemp("deepfashion2"))


@pytest.fixture(scope="module")
def data(root: Path) -> Dataset:
    return load_dataset(root)


# The official evaluation, reimplemented from its rule (method: for each ground-truth query item
# take the detection of its class that overlaps it most, best score first; it is right at k if one
# of its first k boxes overlaps by half a ground-truth item of that pair and style in that image).


def overlap(a: Box, b: Box) -> float:
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = across * down
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


Item = dict[str, Any]
Result = dict[str, Any]


def counterparts(query: Item, items: list[Item]) -> list[Item]:
    """The shop's items of the query's pair and style."""
    key = query["pair"], query["style"]
    return [i for i in items if i["source"] == "shop" and (i["pair"], i["style"]) == key]


def detected(query: Item, results: list[Result], items: list[Item]) -> Result | None:
    """The result with the best score among those whose box is the query's."""
    same_image = [i for i in items if i["image"] == query["image"]]
    mine = [
        result
        for result in results
        if result["query_image_id"] == query["image"]
        and result["query_cls"] == query["category"]
        and max(same_image, key=lambda i: overlap(result["query_bbox"], i["box"])) is query
    ]
    return max(mine, key=lambda result: float(result["query_score"]), default=None)


def retrieved(result: Result, wanted: list[Item], k: int) -> bool:
    """Whether one of the first k boxes overlaps a wanted item by half."""
    boxes = zip(result["gallery_image_id"][:k], result["gallery_bbox"][:k], strict=True)
    return any(
        image == one["image"] and overlap(box, one["box"]) >= 0.5
        for image, box in boxes
        for one in wanted
    )


def official_evaluation(results: list[Result], items: list[Item], k: int) -> float:
    queries = [
        i for i in items if i["source"] == "user" and i["style"] > 0 and counterparts(i, items)
    ]
    hits = 0
    for query in queries:
        result = detected(query, results, items)
        hits += result is not None and retrieved(result, counterparts(query, items), k)
    return hits / len(queries)


def test_the_official_evaluation_of_the_exported_file_equals_our_top_k(
    root: Path, data: Dataset, tmp_path: Path, edgecmp: Callable[..., Any]
) -> None:
    found, report = tmp_path / "found.json", tmp_path / "report.json"
    done = edgecmp("eval", "--data", root, "--results", found, "--json", report)
    assert done.code == 0, done.err
    assert f"Wrote the ranking: {found}" in done.out
    results, items = json.loads(found.read_text()), items_of(root, "validation")
    row = next(r for r in json.loads(report.read_text())["rows"] if r["protocol"] == "qg")
    for k in (1, 5, 10, 20):
        assert row[f"top{k}"] == round(100 * official_evaluation(results, items, k), 2)
    assert 0 < row["top1"] < row["top20"]
    assert {len(result["gallery_image_id"]) for result in results} == {20}
    assert set(results[0]) == {
        "query_image_id",
        "query_bbox",
        "query_cls",
        "query_score",
        "gallery_image_id",
        "gallery_bbox",
    }


def test_top_k_with_distractors_equals_both_independent_computations(
    root: Path, data: Dataset
) -> None:
    """On random embeddings, where there are hits and misses at every k."""
    task = data.retrieval("test")
    random = np.random.default_rng(5)
    centres = random.normal(size=(len(task.gallery.identity_names), 8))
    queries, gallery = (
        (centres[images.identities] + random.normal(size=(len(images), 8))).astype(np.float32)
        for images in (task.queries, task.gallery)
    )
    ks = (1, 5, 10, 15, 20)
    shares = top_k(queries, task.queries.identities, gallery, task.gallery.identities, ks=ks)
    _, ranking = ranked(queries, gallery, 20)
    results = DeepFashion2Results(task).document(ranking)
    items = items_of(root, "validation")
    for k in ks:
        right = 0
        for query, identity in zip(queries, task.queries.identities, strict=True):
            scores = gallery.astype(np.float64) @ query.astype(np.float64)
            nearest = sorted(range(len(scores)), key=lambda place: -scores[place])[:k]
            right += identity in [task.gallery.identities[place] for place in nearest]
        assert shares[k] == right / len(queries) == official_evaluation(results, items, k)
    assert 0 < shares[1] < shares[20] < 1


def test_shards_keep_what_the_official_evaluation_asks_for(data: Dataset, tmp_path: Path) -> None:
    write_shards(data, tmp_path / "shards", longest_side=32)
    task, again = data.retrieval("test"), load_dataset(tmp_path / "shards").retrieval("test")
    ranking = np.random.default_rng(0).integers(0, len(task.gallery), (len(task.queries), 20))
    assert DeepFashion2Results(again).document(ranking) == DeepFashion2Results(task).document(
        ranking
    )


def test_results_of_other_data_are_refused_before_anything_is_embedded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="emoji is not DeepFashion2"):
        evaluate_retrieval(results=tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()
