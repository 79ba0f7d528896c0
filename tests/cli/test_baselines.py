"""The baselines through the same commands as our own networks, on real drawings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.cli import main
from edgecmp.data import load_dataset
from edgecmp.export import targets
from edgecmp.networks.baselines import BASELINES, Baseline, random_baseline
from edgecmp.networks.recalibrate import recalibrate
from tests.cli.test_road import write_images
from tests.fixtures.runtimes import TFLITE_RUNTIMES, available

Edgecmp = Callable[..., Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a gallery model of one epoch and its index."""
    root = tmp_path_factory.mktemp("baselines")
    data, gallery = str(root / "data"), str(root / "gallery")
    write_images(root / "data")
    train = ["train", "gallery", "--recipe", "tiny", "--data", data, "--out", gallery]
    assert main(train) == 0
    index = str(root / "index")
    assert main(["gallery", "build", "--model", gallery, "--data", data, "--out", index]) == 0
    return root


def write_calm(name: str, world: Path, out: Path) -> Path:
    """A network that amplifies rounding as little as a trained one: most ReLUs let pass."""
    gallery = GalleryBundle.load(world / "gallery")
    about = gallery.preprocessing
    images = load_dataset(str(world / "data")).train
    network = random_baseline(
        name, about.input_size, 0, embedding_dim=gallery.network.embedding_dim
    )
    network.architecture = network.architecture.resized(about.input_size)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias.add_(1)
    recalibrate(network, [about.normalise(images.pixels(about))])
    manifest = Manifest(
        kind="query",
        preprocessing=about.to_dict(),
        gallery_sha256=gallery.sha256,
        data={"name": str(world / "data"), "fingerprint": images.fingerprint},
    )
    QueryBundle(network=network, manifest=manifest).save(out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BASELINES if name != "resnet101"])
def test_a_baseline_is_trained_by_its_name(
    name: str, world: Path, edgecmp: Edgecmp, tmp_path: Path
) -> None:
    common = ("--gallery", world / "gallery", "--data", world / "data")
    trained = edgecmp(
        *("train", "query", "--recipe", "tiny", "--architecture", name, "--out", tmp_path / "q"),
        *common,
    )
    assert trained.code == 0, trained.err
    size = QueryBundle.load(tmp_path / "q").preprocessing.input_size
    assert QueryBundle.load(tmp_path / "q").architecture == Baseline(name=name, input_size=size)
    judged = edgecmp("eval", "--model", tmp_path / "q", *common)
    assert judged.code == 0, judged.err
    told = edgecmp("inspect", tmp_path / "q", "--index", world / "index")
    assert told.code == 0, told.out
    assert f"{name}, input {size} pixels, embedding 128 values" in told.out


@pytest.mark.slow(quick=["mobilenet_wd2"])
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_exported_and_proven(
    name: str, world: Path, edgecmp: Edgecmp, tmp_path: Path
) -> None:
    query = write_calm(name, world, tmp_path / "q")
    out = tmp_path / "q.tflite"
    written = edgecmp("export", "--target", "tflite", "--model", query, "--out", out)
    assert written.code == 0, written.err
    common = ("--model", query, "--index", world / "index", "--data", world / "data")
    proven = edgecmp("parity", out, *common, "--json", tmp_path / "p.json")
    assert proven.code == 0, proven.out
    rows = available(json.loads((tmp_path / "p.json").read_text())["rows"])
    assert {row["runtime"] for row in rows} == set(TFLITE_RUNTIMES)
    assert min(row["min_cosine"] for row in rows) > 0.99999
    told = edgecmp("inspect", out, "--index", world / "index")
    assert told.code == 0, told.out
    assert f"{name}, input " in told.out


@pytest.mark.slow(quick=["onnx-precisions1"])
@pytest.mark.parametrize(
    ("target", "precisions"),
    [("tflite", targets()["tflite"].precisions), ("onnx", ["fp16"]), ("coreml", ["fp16"])],
)
def test_a_network_with_every_kind_of_node_is_proven_in_every_target(
    target: str, precisions: list[str], world: Path, edgecmp: Edgecmp, tmp_path: Path
) -> None:
    """Squeeze-and-excitation, h-swish, ReLU and sums in one; the slow converters once each."""
    query = write_calm("mobilenetv3_large_w1", world, tmp_path / "q")
    files = []
    for precision in precisions:
        for reads in ("image",) if precision == "int8" else ("tensor",):
            files.append(tmp_path / f"{precision}{targets()[target].suffix}")
            written = edgecmp(
                *("export", "--target", target, "--precision", precision, "--input", reads),
                *("--model", query, "--out", files[-1]),
            )
            assert written.code == 0, written.err
    common = ("--model", query, "--index", world / "index", "--data", world / "data")
    proven = edgecmp("parity", *files, *common, "--json", tmp_path / "p.json")
    rows = json.loads((tmp_path / "p.json").read_text())["rows"]
    least = {"fp32": 0.99999, "fp16": 0.999, "int8": 0.85, "palette6": 0.9}
    run = [row for row in rows if row["verdict"] != "not run"]
    assert {row["file"] for row in run} == {row["file"] for row in rows}
    for row in run:
        assert row["min_cosine"] > least.get(row["precision"], 0.97), (row, proven.out)


def test_flops_of_a_baseline_by_its_name_and_by_its_file(edgecmp: Edgecmp, tmp_path: Path) -> None:
    file = Baseline(name="mobilenet_wd2", input_size=64).save(tmp_path / "a.json")
    result = edgecmp("flops", "mobilenet_wd2", file, "--json", tmp_path / "f.json")
    assert result.code == 0, result.err
    by_name, by_file = json.loads((tmp_path / "f.json").read_text())["rows"]
    assert by_name["network"] == by_file["network"] == "mobilenet_wd2"
    assert by_name["macs_224"] == by_file["macs_224"] == 149_050_624
    assert by_name["macs_deployed"] == by_name["macs_224"]
    assert by_file["macs_deployed"] < by_name["macs_224"] / 10


def test_what_only_searched_networks_have_is_refused(
    edgecmp: Edgecmp, world: Path, tmp_path: Path
) -> None:
    typo = edgecmp("train", "query", "--architecture", "mobilnet_w1", "--out", tmp_path / "q")
    assert typo.code == 2
    assert "Did you mean mobilenet_w1?" in typo.err
    supernet = edgecmp(
        *("train", "query", "--architecture", "mobilenet_w1", "--supernet", world / "gallery"),
        *("--gallery", world / "gallery", "--data", world / "data", "--out", tmp_path / "q"),
    )
    assert supernet.code == 2
    assert "A supernet does not contain a mobilenet_w1." in supernet.err
    checked = edgecmp("latency", "check", tmp_path / "t.json", "--architecture", "mobilenet_w1")
    assert checked.code == 2
    assert "mobilenet_w1, which is not a network of the search space." in checked.err
