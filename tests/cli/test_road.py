"""The commands one after the other, on real drawings and small networks of one epoch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.cli import main
from edgecmp.data import load_dataset
from edgecmp.integrity import UNSEALED, seal
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.recalibrate import recalibrate
from edgecmp.networks.supernet import Supernet
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.runtimes import available

SPLITS = {"train": 12, "validation": 4, "test": 8}
DRAWINGS = 4
SIZE = 32

Edgecmp = Callable[..., Any]


@dataclass(frozen=True)
class World:
    """Where everything lies."""

    data: Path
    gallery: Path
    supernet: Path
    query: Path
    index: Path
    reports: Path

    def report(self, name: str) -> dict[str, Any]:
        """What a command wrote with --json."""
        document: dict[str, Any] = json.loads((self.reports / f"{name}.json").read_text())
        return document


def write_images(folder: Path) -> None:
    """A folder a split, a folder an identity; the drawings are the embedded test split's."""
    images = load_dataset("emoji").test
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    for identity, split in enumerate(splits):
        places = (images.identities == identity).nonzero()[0][:DRAWINGS]
        target = folder / split / f"identity{identity:02d}"
        target.mkdir(parents=True)
        pixels = images.pixels(Preprocessing(input_size=SIZE), places)
        for number, picture in enumerate(pixels):
            Image.fromarray(picture).save(target / f"{number}.png")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Images, a gallery model of one epoch, its index, and networks that were not trained."""
    root = tmp_path_factory.mktemp("road")
    parts = ("data", "gallery", "supernet", "query", "index", "reports")
    world = World(**{part: root / part for part in parts})
    write_images(world.data)
    common = ("--data", str(world.data))
    train = ["train", "gallery", "--recipe", "tiny", *common, "--out", str(world.gallery)]
    assert main([*train, "--json", str(world.reports / "train.json")]) == 0
    build = ["gallery", "build", "--model", str(world.gallery), *common, "--out", str(world.index)]
    assert main([*build, "--json", str(world.reports / "build.json")]) == 0

    gallery = GalleryBundle.load(world.gallery)
    prepare = gallery.preprocessing
    about: dict[str, Any] = {
        "preprocessing": prepare.to_dict(),
        "gallery_sha256": gallery.sha256,
    }
    train_images = load_dataset(str(world.data)).train
    batch = prepare.normalise(train_images.pixels(prepare))
    torch.manual_seed(0)
    net = Architecture.random("100M", seed=0, input_size=SIZE).build()
    recalibrate(net, [batch])
    QueryBundle(network=net, manifest=Manifest(kind="query", **about)).save(world.query)
    shape = {"tier": "100M", "embedding_dim": 128, "input_size": SIZE}
    supernet = Supernet("100M", embedding_dim=128, input_size=SIZE)
    manifest = Manifest(kind="supernet", network=shape, **about)
    SupernetBundle(network=supernet, manifest=manifest).save(world.supernet)
    return world


def test_training_and_building_report_what_they_wrote(world: World) -> None:
    assert world.report("train")["path"] == str(world.gallery)
    (row,) = world.report("build")["rows"]
    assert row["images"] == row["identities"] > 0


def test_eval_writes_the_three_protocols(world: World, edgecmp: Edgecmp) -> None:
    result = edgecmp(
        *("eval", "--model", world.query, "--gallery", world.gallery, "--data", world.data),
        *("--json", world.reports / "eval.json"),
    )
    assert result.code == 0, result.err
    rows = {row["protocol"]: row for row in world.report("eval")["rows"]}
    assert set(rows) == {"gg", "qq", "qg"}
    for row in rows.values():
        assert 0 <= row["top1"] <= row["top10"] <= 100
    assert "say nothing" in result.out  # of the compatibility rule, with 8 gallery images


def test_a_trained_query_network_names_its_gallery_model(
    world: World, edgecmp: Edgecmp, tmp_path: Path
) -> None:
    result = edgecmp(
        *("train", "query", "--recipe", "tiny", "--data", world.data),
        *("--gallery", world.gallery, "--architecture", world.query / "architecture.json"),
        *("--out", tmp_path / "q", "--json", tmp_path / "q.json"),
    )
    assert result.code == 0, result.err
    bundle = QueryBundle.load(tmp_path / "q")
    assert bundle.manifest.gallery_sha256 == GalleryBundle.load(world.gallery).sha256
    assert str(tmp_path / "q") in result.out


def test_search_finds_one_under_the_budget_and_goes_on(
    world: World, edgecmp: Edgecmp, tmp_path: Path
) -> None:
    search = (
        *("search", "--budget", "90M", "--quick", "--supernet", world.supernet),
        *("--gallery", world.gallery, "--data", world.data, "--out", tmp_path),
        *("--json", tmp_path / "report.json"),
    )
    result = edgecmp(*search)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rows"][0]["flops_224"] <= 90_000_000
    for name in ("architecture.json", "history.jsonl", "search.png"):
        assert (tmp_path / name).stat().st_size > 0
        assert name in result.out
    history = (tmp_path / "history.jsonl").read_bytes()
    lines = history.splitlines(keepends=True)
    (tmp_path / "history.jsonl").write_bytes(b"".join(lines[:-7]) + lines[-7][:20])
    assert edgecmp(*search).code == 0
    assert (tmp_path / "history.jsonl").read_bytes() == history
    other = edgecmp(*(word if word != "90M" else "80M" for word in search))
    assert other.code == 2
    assert "--out" in other.err


@pytest.fixture(scope="module")
def files(world: World) -> dict[str, Path]:
    """The query network as TFLite and ONNX."""
    written = {}
    for target in ("tflite", "onnx"):
        file = world.reports / f"q.{target}"
        export = ["export", "--target", target, "--model", str(world.query), "--out", str(file)]
        assert main([*export, "--json", str(world.reports / f"{target}.json")]) == 0
        (row,) = world.report(target)["rows"]
        assert row["path"] == str(file)
        assert row["size_mb"] == pytest.approx(file.stat().st_size / 1e6, abs=1e-3)
        written[target] = file
    return written


def test_parity_passes(world: World, files: dict[str, Path], edgecmp: Edgecmp) -> None:
    common = ("--model", world.query, "--index", world.index, "--data", world.data)
    result = edgecmp("parity", *files.values(), *common, "--json", world.reports / "parity.json")
    assert result.code == 0, result.out + result.err
    rows = available(world.report("parity")["rows"])
    assert {row["target"] for row in rows} == {"tflite", "onnx"}
    for row in rows:
        assert row["verdict"] == "pass"
        assert row["min_cosine"] > 0.99999
        assert {"precision", "runtime", "p1_cosine", "mean_cosine", "delta_top10"} <= row.keys()


def test_parity_that_fails_ends_with_1(
    world: World, files: dict[str, Path], edgecmp: Edgecmp, tmp_path: Path
) -> None:
    """The ONNX file's kernels change places, and its hash is that of the changed file."""
    model = onnx.load(files["onnx"])
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim == 4:
            tensor.CopyFrom(numpy_helper.from_array(np.roll(values, 1, axis=0), tensor.name))
    for entry in model.metadata_props:
        entry.value = re.sub(r'(?<="content_sha256": ")\w{64}', UNSEALED, entry.value)
    onnx.save(model, tmp_path / "q.onnx")
    seal(tmp_path / "q.onnx")
    common = ("--model", world.query, "--index", world.index, "--data", world.data)
    result = edgecmp("parity", tmp_path / "q.onnx", *common)
    assert result.code == 1
    assert "fail: " in result.out


def test_bench_measures_each_thread_count(
    world: World, files: dict[str, Path], edgecmp: Edgecmp
) -> None:
    bench = ("bench", "--device", "local", files["onnx"], "--threads", "1,2")
    result = edgecmp(*bench, "--json", world.reports / "bench.json")
    assert result.code == 0, result.err
    rows = world.report("bench")["rows"]
    assert [row["threads"] for row in rows] == [1, 2]
    for row in rows:
        assert 0 < row["min_ms"] <= row["p50_ms"] <= row["p90_ms"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("search --budget 100Q --out {out}", "100M"),
        ("search --budget 1M --supernet {supernet} --out {out}", "smallest"),
        ("search --budget 100M --reward r4 --supernet {supernet} --out {out}", "r3"),
        ("search --budget 100M --supernet {gallery} --out {out}", "supernet"),
        ("export --target tflit --model {query} --out {out}", "Did you mean tflite?"),
        ("export --target onnx --precision fp61 --model {query} --out {out}", "fp16"),
        ("export --target onnx --model {gallery} --out {out}", "query"),
        ("export --target onnx --model {query} --out {out}.tflite", ".onnx"),
        ("eval --model {query} --gallery {query}", "gallery"),
        ("eval --model {query} --gallery {gallery} --data emojy", "emoji"),
        ("gallery build --model {gallery} --data {gallery} --out {out}", "identity"),
        ("train gallery --recipe emojy --out {out}", "Did you mean emoji?"),
        ("bench --device loacl {query}/architecture.json", "architecture.json"),
        ("parity {query}/weights.safetensors --model {query} --index {index}", "weights"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    line: str, says: str, world: World, edgecmp: Edgecmp, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    places = {part: getattr(world, part) for part in ("gallery", "supernet", "query", "index")}
    result = edgecmp(*line.format(out=out, **places).split())
    assert result.code == 2
    assert says in result.err
    assert result.err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.err
    assert not out.exists()
    assert list(tmp_path.iterdir()) == []
