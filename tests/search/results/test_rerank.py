"""`edgecmp.search.results.rerank` against sorting the history's lines by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search import rerank
from edgecmp.search.space.flops import FlopsTable
from tests.fixtures.toy_evaluator import toy_search

FORMULAS: dict[str, Callable[[float, float], float]] = {
    "r1": lambda mqq, mqg: mqq,
    "r2": lambda mqq, mqg: mqg,
    "r3": lambda mqq, mqg: mqq * mqg,
    "r3sum": lambda mqq, mqg: mqq + mqg,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    toy_search(folder / "history.jsonl", generations=3)
    return folder


@pytest.mark.parametrize("reward", FORMULAS)
@pytest.mark.parametrize("metric", ["top1", "top10"])
def test_it_equals_sorting_by_hand(folder: Path, tmp_path: Path, reward: str, metric: str) -> None:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()[1:]]
    lines.sort(
        key=lambda line: (
            -FORMULAS[reward](line["mqq"][metric], line["mqg"][metric]),
            -line["mqq"][metric],
            line["flops"],
            line["generation"],
            line["index"],
        )
    )
    before = (folder / "history.jsonl").read_bytes()
    ranking = rerank(folder, reward=reward, metric=metric, top=4, out=tmp_path)
    assert (folder / "history.jsonl").read_bytes() == before
    assert ranking.candidates == len(lines)
    files = ["architecture.json", *(f"architecture-{place}.json" for place in (2, 3, 4))]
    for line, row, architecture, file in zip(
        lines, ranking.rows, ranking.architectures, files, strict=False
    ):
        mqq, mqg = line["mqq"][metric], line["mqg"][metric]
        assert list(architecture.genes) == line["blocks"] + line["widths"]
        assert Architecture.load(tmp_path / file) == architecture
        assert row["flops"] == line["flops"] == FlopsTable.of("100M").count(architecture)
        for name, formula in FORMULAS.items():
            assert row[name] == pytest.approx(formula(mqq, mqg), abs=1e-6)
    assert json.loads((tmp_path / "ranking.json").read_text()) == ranking.to_dict()
    if (reward, metric) == ("r3", "top10"):
        assert [row["before"] for row in ranking.rows] == [1, 2, 3, 4]


def test_its_own_reward_and_metric_are_the_default(folder: Path) -> None:
    ranking = rerank(folder / "history.jsonl")
    assert (ranking.reward, ranking.metric, len(ranking.rows)) == ("r3", "top10", 5)
    assert ranking.files == {}


def test_a_budget_excludes_larger_candidates(folder: Path) -> None:
    everything = rerank(folder, top=1000)
    middle = sorted(row["flops"] for row in everything.rows)[10]
    smaller = rerank(folder, budget=str(middle), top=1000)
    assert smaller.candidates == 11
    kept = [row["before"] for row in everything.rows if row["flops"] <= middle]
    assert [row["before"] for row in smaller.rows] == kept


def test_a_search_that_is_still_running(folder: Path, tmp_path: Path) -> None:
    """Its last line is incomplete."""
    lines = (folder / "history.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "history.jsonl").write_bytes(b"".join(lines[:9]) + lines[9][:40])
    assert rerank(tmp_path, top=100).candidates == 8


def test_input_sizes_are_in_the_architectures(tmp_path: Path) -> None:
    toy_search(
        tmp_path / "history.jsonl",
        strategy="predictor",
        sizes=(48, 64),
        population=5,
        generations=3,
    )
    ranking = rerank(tmp_path, top=15)
    sizes = [architecture.input_size for architecture in ranking.architectures]
    assert sizes == [row["input_size"] for row in ranking.rows]
    assert set(sizes) == {48, 64}


def test_a_history_of_an_earlier_version(folder: Path, tmp_path: Path) -> None:
    """Its header lacks tier, embedding size and input size, which the result has."""
    header, rest = (folder / "history.jsonl").read_text().split("\n", 1)
    document = json.loads(header)
    del document["shape"]
    (tmp_path / "history.jsonl").write_text(json.dumps(document) + "\n" + rest)
    with pytest.raises(UserError, match="was written by an earlier version of edgecmp"):
        rerank(tmp_path)
    first = rerank(folder, top=1).architectures[0]
    (tmp_path / "result.json").write_text(json.dumps({"architecture": first.to_dict()}))
    assert rerank(tmp_path, top=1).architectures == [first]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"reward": "r4"}, "Unknown reward"),
        ({"metric": "top5"}, r"Unknown metric 'top5'.*top1, top10"),
        ({"top": 0}, r"--top must be at least 1 \(got 0\)"),
        ({"budget": "1M"}, "the smallest has"),
    ],
)
def test_invalid_input_is_named_and_nothing_written(
    folder: Path, tmp_path: Path, given: dict[str, str], what: str
) -> None:
    with pytest.raises(UserError, match=what):
        rerank(folder, **given, out=tmp_path / "out")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_search(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        rerank(tmp_path)
    (tmp_path / "history.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="not the header of a search"):
        rerank(tmp_path)
