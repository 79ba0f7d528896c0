"""`edgecmp.search.run` with the other strategies, on a real supernet and real images."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from edgecmp.artefacts.bundle import GalleryBundle, SupernetBundle
from edgecmp.errors import UserError
from edgecmp.networks.architecture import Architecture
from edgecmp.search import SearchResult
from edgecmp.search.evaluation.multi_size import MultiSizeEvaluator
from edgecmp.search.evaluation.supernet import SupernetEvaluator
from edgecmp.search.space.flops import FlopsTable
from tests.fixtures.search_tables import flops_like
from tests.fixtures.small_search import SIZE, save_small_models, small_emoji, small_run


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_small_models(folder)
    return folder


def searched(models: Path, out: Path, budget: str = "95M", **given: Any) -> SearchResult:
    return small_run(
        models, out, budget, **{"quick": True, "population": 3, "generations": 2, **given}
    )


def test_a_predictor_writes_one_architecture_per_budget(models: Path, tmp_path: Path) -> None:
    result = searched(models, tmp_path, "80M,95M,85.5M", strategy="predictor")
    table = FlopsTable.of("100M")
    assert result.evaluations == 4 * 3 + 3
    names = {95: "architecture.json", 85.5: "architecture-85.5M.json", 80: "architecture-80M.json"}
    for budget, name in names.items():
        assert table.count(Architecture.load(tmp_path / name)) <= budget * 1e6
    assert [row["budget"] for row in result.smaller] == [85_500_000, 80_000_000]
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["strategy"] == "predictor"
    again = searched(models, tmp_path, "95M,85.5M,80M", strategy="predictor")
    assert again.new_evaluations == 0
    assert again.smaller == result.smaller


def test_a_front_of_input_sizes(models: Path, tmp_path: Path) -> None:
    result = searched(models, tmp_path, strategy="pareto", input_sizes="32,48", population=6)
    assert (tmp_path / "pareto.png").stat().st_size > 10_000
    sizes = {
        Architecture.from_dict(row["architecture"], source="").input_size for row in result.front
    }
    assert sizes <= {32, 48}
    for row in result.front:
        side = {SIZE: 224, 48: 336}[row["input_size"]]
        architecture = Architecture.from_dict(row["architecture"], source="")
        assert row["flops_counted"] == FlopsTable.of("100M", side).count(architecture) <= 95e6
    assert Architecture.load(tmp_path).input_size == result.rows[0]["input_size"]


def test_at_the_native_size_it_equals_the_single_size_evaluator(models: Path) -> None:
    parts = (GalleryBundle.load(models / "gallery"), small_emoji())
    supernet = SupernetBundle.load(models / "supernet")
    several = MultiSizeEvaluator(supernet, *parts, (48, SIZE), calibration_images=48)
    single = SupernetEvaluator(supernet, *parts, calibration_images=48)
    small, large = (Architecture.random("100M", seed=0, input_size=size) for size in (SIZE, 48))
    assert several.evaluate(small) == single.evaluate(small)
    assert several.evaluate(large) != several.evaluate(small)
    assert set(several.to_dict()["preprocessing_fingerprints"]) == {"32", "48"}


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (
            {"budget": "95M,80M"},
            r"evolution searches under one budget, but 2 .* --strategy predictor or pareto",
        ),
        ({"budget": "95M,95M", "strategy": "predictor"}, "contains duplicates"),
        ({"budget": "95M,20M", "strategy": "predictor"}, "No architecture of the 100M tier"),
        ({"strategy": "genetic"}, "Unknown strategy"),
        ({"input_sizes": "48;56"}, "is not a list of input sizes"),
        ({"input_sizes": "48,48"}, "cannot be searched"),
        ({"input_sizes": "16,48"}, "cannot be searched"),
        ({"input_sizes": "32,96"}, "Leave out the size 96"),
        ({"input_sizes": "32", "latency": "1ms", "table": "t.json"}, "covers one input size"),
    ],
)
def test_invalid_input_is_named_and_nothing_written(
    models: Path, tmp_path: Path, given: dict[str, str], what: str
) -> None:
    flops_like(input_size=SIZE).save(tmp_path / "t.json")
    table = {"table": tmp_path / "t.json"} if "table" in given else {}
    with pytest.raises(UserError, match=what):
        searched(models, tmp_path / "out", **{**given, **table})  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_without_pymoo_the_error_says_what_to_install(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("pymoo"):
            raise ImportError(name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"pip install 'edgecmp\[pareto\]'"):
        searched(models, tmp_path, strategy="pareto")
