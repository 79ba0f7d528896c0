"""The study of a user's own script: what it trains, how it is measured, what is kept."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from edgecmp import UserError
from edgecmp.benchmarks.studies import user_script
from edgecmp.benchmarks.studies.own_gallery import main
from edgecmp.benchmarks.studies.own_gallery_figures import measure, run_rows
from edgecmp.benchmarks.studies.user_script import augment, train
from edgecmp.data import load_dataset
from edgecmp.evaluation.retrieval import evaluate_retrieval
from edgecmp.gallery.open import open_gallery
from edgecmp.gallery.source import ModelSource
from edgecmp.preprocessing import Preprocessing
from scripts import pack_emoji
from tests.fixtures.small_onnx import linear_model, write_described

READS = Preprocessing(input_size=16)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description of a linear network for images of 16 pixels, 8 values."""
    return write_described(tmp_path_factory.mktemp("gallery"), linear_model(16, 16))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of 150 drawings."""
    folder = tmp_path_factory.mktemp("photos") / "packed"
    pack_emoji.main(["--out", str(folder), "--images", "150", "--shape", "manifest", "--splits"])
    return folder / "photos.csv"


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves by a second whenever the script looks at it, so once per step."""
    seconds = count()
    clock = SimpleNamespace(perf_counter=lambda: float(next(seconds)))
    monkeypatch.setattr(user_script, "time", clock)


def planes(image: Image.Image) -> NDArray[np.float32]:
    """What the gallery reads of an image."""
    read: NDArray[np.float32] = READS.normalise(READS.fit(image)[None])[0].numpy()
    return read


def test_the_network_learns_the_embeddings(gallery: Path, photos: Path) -> None:
    images = load_dataset(photos).train
    drawn = [images.source.image(row) for row in images.rows.tolist()]
    expected = torch.from_numpy(open_gallery(gallery).embed(images.pixels(READS)))
    inputs = torch.from_numpy(np.stack([np.array(one.resize((32, 32))) for one in drawn]))
    agree = []
    for seconds in (3, 40):
        student, facts = train(
            drawn,
            gallery.with_suffix(".onnx"),
            planes,
            seconds=seconds,
            size=32,
            batch=16,
            strength=0.2,
        )
        with torch.inference_mode():
            found = student(inputs.permute(0, 3, 1, 2) / 127.5 - 1)
        agree.append(float((found * expected).sum(1).mean()))
    assert facts["epochs"] == pytest.approx(38 * 16 / len(images))
    assert agree[0] < 0.3
    assert agree[1] > 0.5


def test_augmentation_of_no_strength_changes_nothing() -> None:
    images = torch.rand(4, 3, 16, 16) * 255
    assert torch.allclose(augment(images, 0.0), images, atol=1e-3)
    torch.manual_seed(0)
    changed = augment(images, 0.5)
    assert not torch.allclose(changed, images, atol=10)
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_cells_are_trained_once_and_measured_as_numpy_does(
    gallery: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = [
        *("--out", str(tmp_path), "--gallery", str(gallery), "--data", str(photos)),
        *("--minutes", "0.1", "--sizes", "32", "--batches", "16"),
    ]
    main(arguments)
    assert "a user's script" in capsys.readouterr().out
    document = json.loads((tmp_path / "own_gallery.json").read_text())
    tested, trained = document["rows"]
    assert (tested["task"], trained["task"]) == ("test", "training images")
    dataset = load_dataset(photos)
    assert tested["images"] == len(dataset.train)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    task = dataset.retrieval("test")
    session = onnxruntime.InferenceSession(str(folder / "query.onnx"))
    size = Preprocessing(input_size=32, geometry="stretch")
    (queries,) = session.run(None, {"image": size.normalise(task.queries.pixels(size)).numpy()})
    found = open_gallery(gallery).embed(task.gallery.pixels(READS))
    best = task.gallery.identities[(queries @ found.T).argmax(1)]
    assert tested["qg_top1"] == round(100 * float((best == task.queries.identities).mean()), 2)
    monkeypatch.setattr("edgecmp.benchmarks.studies.own_gallery.train", None)  # not called again
    main([*arguments, "--networks", str(folder / "query.toml")])
    again = json.loads((tmp_path / "own_gallery.json").read_text())["rows"]
    assert again[:2] == document["rows"]
    assert again[2]["qg_top10"] == tested["qg_top10"]
    assert again[3]["gg_top1"] == trained["gg_top1"]


def test_other_data_in_the_same_folder_are_refused(
    gallery: Path, photos: Path, tmp_path: Path
) -> None:
    arguments = [
        *("--out", str(tmp_path), "--gallery", str(gallery), "--minutes", "0.05"),
        *("--sizes", "32", "--batches", "16", "--data"),
    ]
    main([*arguments, str(photos)])
    other = tmp_path / "other" / "photos.csv"
    other.parent.mkdir()
    lines = photos.read_text().splitlines(keepends=True)
    other.write_text(lines[0] + "".join(f"{photos.parent}/{line}" for line in lines[1:140]))
    with pytest.raises(UserError, match="contains a cell of another gallery model or of other"):
        main([*arguments, str(other)])


def test_the_hold_out_is_measured_among_training_images(
    gallery: Path, photos: Path, tmp_path: Path
) -> None:
    source, dataset = ModelSource(open_gallery(gallery)), load_dataset(photos)
    (row,) = measure(gallery, source, dataset, "validation")
    assert row["task"] == "validation, among training images"
    assert row["qg_top10"] == row["qq_top10"] == row["gg_top10"]
    task, trained = dataset.retrieval("validation"), dataset.train
    others = trained.subset(trained.domains == trained.domain_names.index("gallery"))
    found = np.concatenate([source.embeddings(task.gallery), source.embeddings(others)])
    best = (source.embeddings(task.queries) @ found.T).argmax(1)
    names = [task.gallery.identity_names[one] for one in task.gallery.identities]
    names += [f"trained {trained.identity_names[one]}" for one in others.identities]
    right = [
        names[index] == task.queries.identity_names[identity]
        for index, identity in zip(best, task.queries.identities, strict=True)
    ]
    assert row["gg_top1"] == round(100 * float(np.mean(right)), 2)
    alone = evaluate_retrieval(gallery, gallery=gallery, data=str(photos), split="validation").rows
    assert row["gg_top1"] <= next(one["top1"] for one in alone if one["protocol"] == "gg")


def test_a_run_of_edgecmp_stands_beside(tmp_path: Path) -> None:
    figures = {"top1": 40.0, "top10": 80.0}
    rows = [{"protocol": one, **figures} for one in ("gg", "qq", "qg")]
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"rows": rows, "seconds": 600}))
    (row,) = run_rows(file)
    assert row["minutes"] == 10.0
    assert row["qg_top10"] == 80.0
    assert row["share_of_gg"] == 100.0
    file.write_text(json.dumps({"rows": rows[:2], "seconds": 600}))
    with pytest.raises(UserError, match="is not what `edgecmp run --json` writes"):
        run_rows(file)
