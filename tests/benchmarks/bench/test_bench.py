"""The warm bench: real models on this machine, and devices that answer as they are told to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from edgecmp.benchmarks import BenchPlan, bench
from edgecmp.benchmarks.bench import plot as bench_plot
from edgecmp.benchmarks.bench.profile_text import profile_text
from edgecmp.benchmarks.devices import DeviceRunError, DeviceTimeoutError, LocalDevice
from edgecmp.benchmarks.devices.open import KINDS
from edgecmp.errors import UserError
from edgecmp.export import Metadata
from edgecmp.export.formats.registry import Job
from edgecmp.export.formats.tflite.writer import write_tflite
from edgecmp.export.lowering import lower
from edgecmp.networks.architecture import Architecture
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.runtimes import TFLITE_RUNTIMES, available

FIGURES = ("cold_ms", "p50_ms", "p90_ms", "min_ms", "first_ms", "init_ms", "peak_memory_mb")


@pytest.fixture(scope="module")
def tflite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A query network of ours, as a TFLite file with its metadata."""
    architecture = Architecture.random("100M", seed=0, embedding_dim=16, input_size=32)
    preprocessing = Preprocessing(input_size=32)
    metadata = Metadata(
        target="tflite",
        precision="fp32",
        input="tensor",
        architecture=architecture.to_dict(),
        preprocessing=preprocessing.to_dict(),
        preprocessing_fingerprint=preprocessing.fingerprint,
        gallery_sha256="0" * 64,
        weights_sha256="0" * 64,
        provenance={},
    )
    path = tmp_path_factory.mktemp("bench") / "query.tflite"
    write_tflite(Job(network=lower(architecture.build().eval()), metadata=metadata), path)
    return path


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's ONNX model, with a free batch axis."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 8, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path_factory.mktemp("third_party") / "relu.onnx"
    onnx.save(model, path)
    return path


def assert_not_run(row: dict[str, Any]) -> None:
    """Core ML needs a Mac."""
    assert (row["verdict"], row["reason"]) == ("not run", "needs macOS: --device coreml:local")
    assert row["threads"] is None
    assert all(row[figure] is None for figure in FIGURES)


def assert_measured(row: dict[str, Any]) -> None:
    """24 runs with one thread, whose figures fit each other."""
    assert (row["verdict"], row["reason"]) == ("measured", "")
    assert 0 < row["min_ms"] <= row["p50_ms"] <= row["p90_ms"]
    assert row["peak_memory_mb"] > row["memory_before_mb"] > 10
    assert row["cold_ms"] >= max(row["first_ms"], row["init_ms"]) > 0
    assert (row["runs"], row["p99_ms"]) == (24, None)
    assert 0 <= row["preempted"] <= 24
    assert len(row["percentiles_ms"]) == 101
    assert row["threads"] == 1


def test_every_file_is_timed_in_every_runtime(
    tflite: Path, third_party: Path, tmp_path: Path
) -> None:
    package = tmp_path / "query.mlpackage"
    package.mkdir()
    report = bench([tflite, third_party, package], plan=BenchPlan(runs=24, rounds=2))
    document = json.loads(json.dumps(report.to_dict()))
    rows = {(Path(row["file"]).name, row["runtime"]): row for row in available(document["rows"])}
    assert rows.keys() == {
        *(("query.tflite", name) for name in TFLITE_RUNTIMES),
        ("relu.onnx", "onnxruntime"),
        ("query.mlpackage", "coreml"),
    }
    assert_not_run(rows.pop(("query.mlpackage", "coreml")))
    for (_, runtime), row in rows.items():
        assert_measured(row)
        assert row["version"] == document["device"]["runtimes"][runtime]["version"]
    assert rows["query.tflite", "litert"]["precision"] == "fp32"
    assert rows["relu.onnx", "onnxruntime"]["precision"] is None
    assert rows["relu.onnx", "onnxruntime"]["p50_ms"] < rows["query.tflite", "litert"]["p50_ms"]
    assert document["settings"] == {
        **{"mode": "warm", "runs": 24, "rounds": 2},
        **{"minutes": 0.0, "seed": 0, "input_size": None},
    }
    assert document["complete"]


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT16])
@pytest.mark.parametrize("shape", [["N", 8, 8, 3], [4, 8, 8, 3]])
def test_a_third_party_file_of_any_type_and_layout(
    kind: int, shape: list[int | str], tmp_path: Path
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        "cast",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "cast.onnx")
    (row,) = bench([tmp_path / "cast.onnx"], plan=BenchPlan(runs=4, rounds=1)).rows
    assert (row["verdict"], row["precision"]) == ("measured", None)
    assert row["p50_ms"] > 0


class Recorded(LocalDevice):
    """A device that answers at once, writes down what it was asked, and may refuse a runtime."""

    asked: list[tuple[str, ...]]
    refused = ""

    def run_runner(self, *arguments: str, **options: Any) -> dict[str, Any]:
        if not arguments:
            return {"runtimes": {"litert": {"version": "1"}, "tflite-runtime": {"version": "1"}}}
        model, runtime, threads, runs, *_ = arguments
        self.asked.append((Path(model).name, runtime, threads))
        assert options["environment"] == {"OMP_NUM_THREADS": threads.partition("=")[2]}
        if self.refused and self.refused in runtime:
            raise DeviceRunError("it does not know this op")
        return document([1.0] * int(runs.partition("=")[2]))


def document(wall_ms: list[float]) -> dict[str, Any]:
    """What the runner tells of runs that nobody disturbed."""
    conditions = {"governor": "performance", "temperatures_c": {}}
    return {
        "version": "1",
        "input_shape": [1, 32, 32, 3],
        "wall_us": [1000 * value for value in wall_ms],
        "cpu_us": [1000 * value for value in wall_ms],
        "switches": [0] * len(wall_ms),
        "first_us": 2000.0,
        "init_us": 3000.0,
        "peak_memory_kb": 2048,
        "memory_before_kb": 1024,
        "before": conditions,
        "after": conditions,
    }


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    monkeypatch.setitem(KINDS, "local", (lambda spec: Recorded(), ()))
    monkeypatch.setattr(Recorded, "asked", [], raising=False)
    monkeypatch.setattr(Recorded, "refused", "")
    return Recorded


def test_visits_go_round_over_everything(recorded: type[Recorded], tmp_path: Path) -> None:
    files = [tmp_path / "a.tflite", tmp_path / "b.tflite"]
    for file in files:
        file.write_bytes(b"")
    report = bench(files, threads=(1, 2), plan=BenchPlan(runs=30, rounds=3))
    one_round = recorded.asked[:8]
    assert len(set(one_round)) == 8
    assert recorded.asked == one_round * 3
    assert {row["runs"] for row in report.rows} == {30}
    assert {(row["p50_ms"], row["peak_memory_mb"]) for row in report.rows} == {(1.0, 2.0)}


def test_a_runtime_that_refuses_a_file_has_its_own_row(
    recorded: type[Recorded], tflite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "refused", "tflite-runtime")
    rows = bench([tflite], plan=BenchPlan(runs=10, rounds=2)).rows
    assert [row["verdict"] for row in rows] == ["measured", "failed"]
    assert rows[1]["reason"] == "it does not know this op"
    assert rows[1]["p50_ms"] is None
    assert sum("tflite-runtime" in asked[1] for asked in recorded.asked) == 1


def test_the_one_runtime_that_is_asked_for_may_refuse_a_file(
    recorded: type[Recorded], tflite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "refused", "litert")
    (row,) = bench([tflite], runtime="litert", plan=BenchPlan(runs=4, rounds=2)).rows
    assert (row["verdict"], row["reason"]) == ("failed", "it does not know this op")


def test_a_file_that_takes_too_long_is_not_called_damaged(
    recorded: type[Recorded], tflite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: str, **options: Any) -> dict[str, Any]:
        if not arguments:
            return {"runtimes": {"litert": {"version": "1"}, "tflite-runtime": {"version": "1"}}}
        raise DeviceTimeoutError("it took longer than 600 s")

    monkeypatch.setattr(recorded, "run_runner", staticmethod(slow))
    rows = bench([tflite], plan=BenchPlan(runs=2, rounds=1)).rows
    assert [row["verdict"] for row in rows] == ["failed", "failed"]
    assert {row["reason"] for row in rows} == {"it took longer than 600 s"}


def test_a_file_of_edgecmp_that_was_cut_is_refused(tflite: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(tflite.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"cut\.tflite cannot be timed: it was changed") as caught:
        bench([cut], plan=BenchPlan(runs=2, rounds=1))
    assert caught.value.way_out.startswith("Copy it again, or write it again")


def test_one_runtime_alone(recorded: type[Recorded], tflite: Path, third_party: Path) -> None:
    report = bench([tflite, third_party], runtime="litert", plan=BenchPlan(runs=4, rounds=1))
    assert [row["runtime"] for row in report.rows] == ["litert"]
    assert {asked[1] for asked in recorded.asked} == {"--runtime=litert"}
    with pytest.raises(UserError, match=r"onnxruntime loads only \.onnx files, and none was given"):
        bench([tflite], runtime="onnxruntime")
    with pytest.raises(UserError, match=r"Unknown runtime 'lightrt'.*Did you mean litert"):
        bench([tflite], runtime="lightrt")


def test_a_device_that_tells_only_a_summary(
    recorded: type[Recorded], tflite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = {"p50_us": 5000.0, "p90_us": 6000.0, "min_us": 4000.0, "mean_us": 5100.0, "runs": 9}
    own = {"wall_us": None, "cpu_us": None, "switches": None, "summary": summary, "init_us": None}
    monkeypatch.setattr(recorded, "time_model", lambda *_, **__: document([1.0]) | own)
    (row, _) = bench([tflite], plan=BenchPlan(runs=4, rounds=2)).rows
    assert (row["p50_ms"], row["p90_ms"], row["p99_ms"], row["min_ms"]) == (5.0, 6.0, None, 4.0)
    assert (row["runs"], row["preempted"], row["percentiles_ms"]) == (18, None, [])
    assert row["statistic"] == "the device's summary"
    assert (row["init_ms"], row["cold_ms"], row["first_ms"]) == (None, None, 2.0)


def test_a_device_on_which_nothing_runs_is_told_at_once(
    recorded: type[Recorded], tflite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "facts", {"runtimes": {"litert": {"reason": "not there"}}})
    with pytest.raises(UserError, match=r"local has no runtime for these files \(litert: not th"):
        bench([tflite])
    assert recorded.asked == []


def test_profiles_come_from_the_device(tflite: Path, third_party: Path) -> None:
    report = bench([tflite, third_party], plan=BenchPlan(runs=8, rounds=2), profiles=True)
    told, other = json.loads(json.dumps(report.to_dict()))["profiles"]
    assert (told["file"], told["reason"]) == (str(tflite), "")
    names = {operator["name"] for operator in told["operators"]}
    assert {"stem", "head", "linear"} <= names
    total = sum(operator["time_us"] for operator in told["operators"])
    assert 0.3 * told["whole_us"] < total < 1.3 * told["whole_us"]
    assert other["operators"] == []
    assert "profiled by LiteRT" in other["reason"]
    text = profile_text(told)
    assert "conv 1x1" in text
    assert "GFLOP/s" in text
    assert profile_text(other).endswith("which loads only .tflite files.")


def test_a_device_without_litert_gives_no_profile(
    recorded: type[Recorded], tflite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"runtimes": {"tflite-runtime": {"version": "1"}, "litert": {"reason": "not there"}}}
    monkeypatch.setattr(recorded, "facts", facts)
    (told,) = bench([tflite], plan=BenchPlan(runs=4, rounds=2), profiles=True).profiles
    reason = "ai-edge-litert is not installed for the Python of local (not there)"
    assert told["reason"] == reason


def test_a_picture_that_cannot_be_drawn_loses_nothing(
    recorded: type[Recorded], tflite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UserError("The disk is full.", "Free some space.")

    monkeypatch.setattr(bench_plot, "draw_bench", full)
    report = bench([tflite], plan=BenchPlan(runs=2, rounds=1), picture=tmp_path / "a.png")
    assert {row["verdict"] for row in report.rows} == {"measured"}
    assert report.picture is None
    assert "No picture: The disk is full. Free some space." in report.sentences()


def test_what_cannot_be_written_is_refused_before_anything_is_measured(
    recorded: type[Recorded], tflite: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"")
    wrong: list[dict[str, Any]] = [
        {"picture": tmp_path / "folder.png"},
        {"picture": tmp_path / "file" / "a.png"},
        {"keep": tmp_path / "folder.png"},
    ]
    for options in wrong:
        with pytest.raises(UserError, match=r"(is a folder|cannot be written)"):
            bench([tflite], plan=BenchPlan(runs=2, rounds=1), **options)
    assert recorded.asked == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"device": "lokal"}, "Unknown device 'lokal'"),
        ({"files": ["nowhere.tflite"]}, "nowhere.tflite does not exist"),
        ({"files": [__file__]}, "Unknown kind of model file"),
        ({"files": []}, "No file was given"),
        ({"threads": (0,)}, "--threads must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], says: str, tflite: Path) -> None:
    wanted: dict[str, Any] = {"files": [tflite]} | arguments
    with pytest.raises(UserError, match=says):
        bench(wanted.pop("files"), **wanted)
