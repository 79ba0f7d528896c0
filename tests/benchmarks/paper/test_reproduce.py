"""The paper's tables on 24 drawings at 32 pixels: real trainings of a second each."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import edgecmp.training.supernet as supernet_module
from edgecmp.benchmarks.paper import TABLES, listing, reproduce
from edgecmp.benchmarks.paper.context import Context
from edgecmp.benchmarks.paper.published import published
from edgecmp.benchmarks.paper.run import Runs
from edgecmp.benchmarks.paper.systems import GALLERY, SYSTEMS, system_of
from edgecmp.benchmarks.paper.training import Inputs
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.evaluation.evaluate import evaluate
from edgecmp.preprocessing import Preprocessing
from edgecmp.search import rerank
from edgecmp.storage import folder_lock
from edgecmp.training.gallery import train_gallery
from edgecmp.training.recipes import gallery_recipe, recipe
from tests.fixtures.orl import write_ijbc

SMALL = ("MobileNetV1(0.5x)", "ShuffleNetV2", "CMP-NAS-c")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 identities of four drawings, in folders that name their split."""
    folder = tmp_path_factory.mktemp("drawings")
    images = load_dataset("emoji").test
    splits = ["train"] * 12 + ["validation"] * 4 + ["test"] * 8
    for identity, split in enumerate(splits):
        places = (images.identities == identity).nonzero()[0][:4]
        target = folder / split / f"identity{identity:02d}"
        target.mkdir(parents=True)
        for number, picture in enumerate(images.pixels(Preprocessing(input_size=32), places)):
            Image.fromarray(picture).save(target / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, drawings: Path) -> Path:
    """Three systems of table 3, run."""
    folder = tmp_path_factory.mktemp("reproduce")
    reproduce("table3", recipe_name="emoji-tiny", out=folder, data=str(drawings), systems=SMALL)
    return folder


def rows(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["system"], row["group"]): row for row in document["rows"]}


def test_every_published_system_has_a_row_in_every_table() -> None:
    shown = listing(recipe_name="emoji-tiny", out=Path("nowhere")).to_dict()["rows"]
    for table in ("table1", "table2", "table3"):
        names = {row["system"] for row in shown if row["table"] == table}
        assert names == {GALLERY, *(system.name for system in SYSTEMS)}
        for row in published(table).rows:
            system = system_of(str(row["query_model"]))
            assert (system.name if system else GALLERY) in names
    four = [row for row in shown if row["table"] == "table4"]
    assert len(four) == len(published("table4").rows)
    assert {row["state"] for row in shown} == {"not run"}


def test_what_was_run_says_so_and_the_rest_does_not(out: Path) -> None:
    document = json.loads((out / "emoji-tiny" / "table3.json").read_text())
    for (system, _), row in rows(document).items():
        run = system in (*SMALL, GALLERY)
        assert (row["state"] == "run") == run
        assert (row["ours"] is not None) == run


def test_our_figures_are_those_of_eval(out: Path, drawings: Path) -> None:
    gallery = out / "emoji-tiny" / "gallery"
    network = out / "emoji-tiny" / "query" / "shufflenetv2_w1" / "seed0" / "network"
    report = evaluate(network, gallery=gallery, data=str(drawings))
    by = {row["protocol"]: row for row in report.rows}
    document = json.loads((out / "emoji-tiny" / "table3.json").read_text())
    found = rows(document)["ShuffleNetV2", "heterogeneous"]["ours"]
    assert found == {name: by["qg"][name] for name in ("top1", "top10", "top20")}
    paragon = rows(document)[GALLERY, "homogeneous"]["ours"]
    assert paragon == {name: by["gg"][name] for name in ("top1", "top10", "top20")}


@pytest.mark.slow
def test_two_seeds_have_a_spread_and_one_has_none(out: Path) -> None:
    found = rows(json.loads((out / "emoji-tiny" / "table3.json").read_text()))
    assert found["CMP-NAS-c", "homogeneous"]["runs"] == 2
    assert found["CMP-NAS-c", "homogeneous"]["spread"] is not None
    assert found["ShuffleNetV2", "homogeneous"]["spread"] is None


def test_the_same_runs_fill_table_2_without_training_again(out: Path, drawings: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("run.json")}
    found = reproduce(
        "table2", recipe_name="emoji-tiny", out=out, data=str(drawings), systems=SMALL
    )
    assert {path: path.stat().st_mtime_ns for path in out.rglob("run.json")} == before
    by = {(group.system, group.group): group for group in found.groups}
    assert set(by["CMP-NAS-c", "heterogeneous"].ours) == {"far1e-2", "far1e-3", "far1e-4"}


def _changed(drawings: Path, folder: Path) -> Path:
    """The same drawings, but for one pixel of one training image."""
    copy = shutil.copytree(drawings, folder)
    path = copy / "train" / "identity03" / "1.png"
    picture = Image.open(path)
    picture.putpixel((3, 3), (1, 2, 3))
    picture.save(path)
    return copy


def test_runs_of_other_data_are_refused_by_name(out: Path, drawings: Path, tmp_path: Path) -> None:
    """The gallery model is compared first; a run is compared even if its gallery model is given."""
    other, kept = _changed(drawings, tmp_path / "other"), shutil.copytree(out, tmp_path / "out")
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    given: dict[str, Any] = {"recipe_name": "emoji-tiny", "out": kept, "systems": ("ShuffleNetV2",)}
    with pytest.raises(
        UserError, match=r"tiny/gallery contains a finished .* other settings: the training data"
    ):
        reproduce("table3", data=str(other), **given)
    with pytest.raises(
        UserError,
        match=r"seed0 was made with other settings: the training data; the test data\. "
        r"Name another folder with --out, or remove .*seed0 to make it again",
    ):
        reproduce("table3", data=str(other), gallery=kept / "emoji-tiny" / "gallery", **given)
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before


def test_runs_of_another_recipe_or_gallery_model_are_refused_by_name(
    out: Path, drawings: Path, tmp_path: Path
) -> None:
    """Runs of systems that are not asked for are compared too: the table shows them."""
    given: dict[str, Any] = {
        "recipe_name": "emoji-tiny",
        "data": str(drawings),
        "systems": ("CMP-NAS-c",),
    }
    train_gallery(gallery_recipe("tiny"), out=tmp_path / "gallery", data=str(drawings), seed=4)
    with pytest.raises(UserError, match="was made with other settings: the gallery model"):
        reproduce("table3", out=out, gallery=tmp_path / "gallery", **given)
    kept = shutil.copytree(out, tmp_path / "out")
    path = kept / "emoji-tiny" / "query" / "shufflenetv2_w1" / "seed0" / "run.json"
    document = json.loads(path.read_text())
    document["settings"]["training"]["schedule"]["epochs"] = 7
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"shufflenetv2_w1/seed0 was made .*: epochs 7, now 1"):
        reproduce("table3", out=kept, **given)


def test_a_trained_network_without_its_run_is_evaluated_and_not_trained_again(
    out: Path, drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the training and the evaluation; its seconds are all counted."""
    kept = shutil.copytree(out, tmp_path / "out")
    path = kept / "emoji-tiny" / "query" / "shufflenetv2_w1" / "seed0" / "run.json"
    before = json.loads(path.read_text())
    path.unlink()

    def step(*_: Any, **__: Any) -> None:
        raise AssertionError("A training step was made.")

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    reproduce(
        "table3",
        recipe_name="emoji-tiny",
        out=kept,
        data=str(drawings),
        systems=("ShuffleNetV2",),
    )
    after = json.loads(path.read_text())
    assert before.pop("provenance").keys() == after.pop("provenance").keys()
    assert after == before


def test_a_pruned_copy_is_reused_only_if_it_is_of_the_same_model_and_data(
    out: Path, drawings: Path, tmp_path: Path
) -> None:
    context = Context(
        recipe=replace(recipe("emoji-tiny"), bottleneck=None),
        runs=Runs(tmp_path / "out", "emoji-tiny", recorded=False),
        inputs=Inputs.opened(str(drawings), str(drawings)),
        gallery=out / "emoji-tiny" / "gallery",
    )
    weights = context.pruned("magnitude", 0.5) / "weights.safetensors"
    written = weights.stat().st_mtime_ns
    replace(context, made=set()).pruned("magnitude", 0.5)
    assert weights.stat().st_mtime_ns == written
    other = str(_changed(drawings, tmp_path / "other"))
    with pytest.raises(UserError, match=r"start was made with other settings: the training data"):
        replace(context, made=set(), inputs=Inputs.opened(other, other)).pruned("magnitude", 0.5)
    train_gallery(gallery_recipe("tiny"), out=tmp_path / "gallery", data=str(drawings), seed=4)
    with pytest.raises(UserError, match=r"start was made with other settings: the gallery model"):
        replace(context, made=set(), gallery=tmp_path / "gallery").pruned("magnitude", 0.5)


def test_two_reproductions_do_not_share_a_folder(out: Path, drawings: Path) -> None:
    with (
        folder_lock(out / "emoji-tiny", "reproduction"),
        pytest.raises(UserError, match=r"Another reproduction is writing to .*emoji-tiny"),
    ):
        reproduce("table3", recipe_name="emoji-tiny", out=out, data=str(drawings), systems=SMALL)


def test_a_typo_is_told_before_the_gallery_model_is_trained(drawings: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Unknown system"):
        reproduce(
            "table3",
            recipe_name="emoji-tiny",
            out=tmp_path / "out",
            data=str(drawings),
            systems=("ShufleNet",),
        )
    assert not (tmp_path / "out").exists()


def test_table_and_picture_lie_there(out: Path) -> None:
    with (out / "emoji-tiny" / "table3.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["system"] for line in lines} == {GALLERY, *(system.name for system in SYSTEMS)}
    published_too = [line for line in lines if line["system"] == "CMP-NAS-c"]
    assert {line["published"] for line in published_too} >= {"38.4", "64.8", "72.1"}
    with Image.open(out / "emoji-tiny" / "table3.png") as picture:
        assert picture.width > 600


def test_the_command_lists_with_json(
    out: Path, edgecmp: Callable[..., Any], tmp_path: Path
) -> None:
    result = edgecmp(
        *("reproduce", "--list", "--recipe", "emoji-tiny", "--out", out),
        *("--json", tmp_path / "list.json"),
    )
    assert result.code == 0, result.err
    document = json.loads((tmp_path / "list.json").read_text())
    assert {row["table"] for row in document["rows"]} == set(TABLES)
    states = {row["state"] for row in document["rows"] if row["system"] == "ShuffleNetV2"}
    assert states == {"run"}


def test_the_runs_that_ship_are_listed_whatever_the_folder(tmp_path: Path) -> None:
    rows = listing("table4", out=tmp_path).to_dict()["rows"]
    assert {row["state"] for row in rows} == {"run"}
    (row,) = (row for row in rows if row["system"] == "channel 90%")
    assert row["published"]["scratch"] == 0.0
    assert row["ours"]["bct"] > row["ours"]["kd"]


def test_a_damaged_run_is_named(out: Path, tmp_path: Path) -> None:
    place = tmp_path / "emoji-tiny" / "query" / "mobilenet_w1" / "seed0"
    place.mkdir(parents=True)
    (place / "run.json").write_text('{"format": "edgecmp-run/1"}')
    with pytest.raises(UserError, match=r"run\.json is not a run"):
        listing("table3", recipe_name="emoji-tiny", out=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("table9",), "Unknown table 'table9'"),
        (("table3", "--recipe", "emojy"), "Did you mean emoji"),
        (("table3", "--systems", "MobileNet"), "Unknown system of this table"),
        (("table1", "--recipe", "face"), "The recipe 'face' needs training data."),
        ((), "No table was named"),
    ],
)
def test_mistakes_get_one_sentence(
    arguments: tuple[str, ...], said: str, edgecmp: Callable[..., Any], tmp_path: Path
) -> None:
    result = edgecmp("reproduce", *arguments, "--out", tmp_path)
    assert result.code == 2
    assert said in result.err


@pytest.mark.slow
def test_table_4_prunes_and_trains_in_four_ways(drawings: Path, tmp_path: Path) -> None:
    found = reproduce(
        "table4",
        recipe_name="emoji-tiny",
        out=tmp_path,
        data=str(drawings),
        systems=("magnitude 90%",),
    )
    by = {group.system: group for group in found.groups}
    row = by["magnitude 90%"]
    assert row.state == "run"
    assert set(row.ours) == {"scratch", "fine_tune", "bct", "kd"}
    assert row.published["bct"] == 87.2
    assert by["unpruned"].ours
    assert by["channel 50%"].state == "not run"
    runs = [json.loads(path.read_text()) for path in tmp_path.rglob("run.json")]
    started = {run["key"].split("/")[-1]: run["settings"]["start_sha256"] for run in runs}
    assert started["scratch"] is None
    assert started["kd"] is None
    assert started["fine_tune"] == started["bct"] is not None
    assert len({run["params_m"] for run in runs}) == 1


@pytest.mark.slow
def test_figure_1_searches_and_trains_the_best_five(
    out: Path, drawings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet_module, "CHANCE_FACTOR", 0.0)
    found = reproduce(
        "figure1", recipe_name="emoji-tiny", out=out, data=str(drawings), systems=("vanilla R1",)
    )
    by = {(group.system, group.group): group for group in found.groups}
    assert by["vanilla R1", "heterogeneous"].state == "run"
    assert by["BCT R3", "heterogeneous"].state == "not run"
    best = rerank(out / "emoji-tiny" / "searches" / "vanilla-r1", top=5)
    for place, architecture in enumerate(best.architectures, start=1):
        folder = out / "emoji-tiny" / "figure1" / "vanilla-r1" / str(place)
        document = json.loads((folder / "run.json").read_text())
        assert document["settings"]["architecture"] == architecture.to_dict()
    runs = [json.loads(path.read_text()) for path in out.rglob("figure1/**/run.json")]
    mean = sum(run["scores"]["qg"]["top10"] for run in runs) / 5
    assert by["vanilla R1", "heterogeneous"].ours["top10"] == pytest.approx(mean, abs=0.006)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in IJB-C's layout."""
    return write_ijbc(tmp_path_factory.mktemp("ijbc") / "IJBC").folder


@pytest.mark.slow
def test_faces_are_trained_on_one_set_and_tested_on_ijbc(
    drawings: Path, faces: Path, tmp_path: Path
) -> None:
    found = {
        table: reproduce(
            table,
            recipe_name="face-tiny",
            out=tmp_path,
            data=str(drawings),
            test_data=str(faces),
            systems=("ShuffleNetV2",),
        )
        for table in ("table1", "table2")
    }
    folder = tmp_path / "face-tiny"
    report = evaluate(
        folder / "query" / "shufflenetv2_w1" / "seed0" / "network",
        gallery=folder / "gallery",
        data=faces,
    )
    by = {row["protocol"]: row for row in report.rows}
    # 3,600 pairs are too few for a rate of 1e-4
    for table, metrics in (
        ("table1", {"top1": "top1", "top5": "top5", "top10": "top10"}),
        (
            "table2",
            {"far1e-2": "tar_far1e-2", "far1e-3": "tar_far1e-3"},
        ),
    ):
        groups = {(group.system, group.group): group.ours for group in found[table].groups}
        expected = {name: by["qg"][metric] for name, metric in metrics.items()}
        assert groups["ShuffleNetV2", "heterogeneous"] == expected
        assert groups[GALLERY, "homogeneous"] == {
            name: by["gg"][metric] for name, metric in metrics.items()
        }
        assert found[table].data == str(faces)


def test_a_recipe_of_faces_asks_for_its_test_data(drawings: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs a separate test set.*--test-data"):
        reproduce("table1", recipe_name="face-tiny", out=tmp_path, data=str(drawings))
