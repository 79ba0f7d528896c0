"""`edgecmp rank` from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fixtures.toy_evaluator import toy_search


def test_a_search_by_another_reward(tmp_path: Path, edgecmp: Callable[..., Any]) -> None:
    toy_search(tmp_path / "history.jsonl", generations=2)
    out, file = tmp_path / "out", tmp_path / "report.json"
    result = edgecmp(
        *("rank", tmp_path, "--reward", "r1", "--metric", "top1", "--top", "2"),
        *("--out", out, "--json", file),
    )
    assert result.code == 0, result.err
    for column in ("before", "r1", "r2", "r3", "r3sum"):
        assert column in result.out
    assert f"Wrote the ranking: {out / 'ranking.json'}" in result.out
    assert edgecmp("flops", out / "architecture-2.json").code == 0
    report = json.loads(file.read_text())
    assert [row["rank"] for row in report["rows"]] == [1, 2]
    assert (report["reward"], report["metric"]) == ("r1", "top1")
    refused = edgecmp("rank", tmp_path, "--reward", "r9")
    assert refused.code == 2
    assert "Unknown reward" in refused.err
