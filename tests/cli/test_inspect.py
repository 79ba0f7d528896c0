"""`edgecmp inspect`: every artefact says what it is; damage and foreign parts are told."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from edgecmp import api, kit
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle
from edgecmp.data import load_dataset
from edgecmp.export import export
from edgecmp.export.fingerprint import lowering_fingerprint
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.open import open_gallery
from edgecmp.inspection import Inspection
from edgecmp.networks.architecture import Architecture
from edgecmp.search.evaluation.candidate import Candidate, Measurement
from edgecmp.search.results.history import History
from tests.fixtures.latency_tables import make_table

Edgecmp = Callable[..., Any]
GALLERY = GalleryBundle.load(kit.path("gallery")).sha256
QUERY = QueryBundle.load(kit.path("query"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The kit's query network in every format."""
    folder = tmp_path_factory.mktemp("files")
    wanted = {"tflite": "fp16", "onnx": "fp32", "coreml": "fp16"}
    return {
        target: export(target, precision=precision, out=folder / target).path
        for target, precision in wanted.items()
    }


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 8, 8])],
    )
    onnx.save(helper.make_model(graph), tmp_path / "relu.onnx")
    return tmp_path / "relu.onnx"


def checks(document: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in document["checks"]}


def test_the_kit_is_what_it_says(edgecmp: Edgecmp, tmp_path: Path) -> None:
    paths = [kit.path(part) for part in kit.PARTS]
    result = edgecmp("inspect", *paths, "--json", tmp_path / "i.json")
    assert result.code == 0, result.out + result.err
    found = json.loads((tmp_path / "i.json").read_text())["artefacts"]
    assert [entry["path"] for entry in found] == [str(path) for path in paths]
    kinds = ("gallery model", "supernet", "query network", "gallery index")
    for entry, kind in zip(found, kinds, strict=True):
        assert entry["what"].startswith(kind)
        assert entry["sound"]
        assert set(checks(entry).values()) == {"ok"}
        assert entry["facts"]["command"].startswith("edgecmp ")
        assert f"{entry['what']}\n" in result.out
        folder = Path(entry["path"])
        size = sum(file.stat().st_size for file in folder.iterdir())
        assert entry["facts"]["size"] == {"bytes": size, "files": len(list(folder.iterdir()))}
    query = found[2]["facts"]
    assert query["sha256"] == QUERY.sha256
    assert query["gallery_sha256"] == found[0]["facts"]["sha256"] == GALLERY
    assert query["architecture_sha256"] == QUERY.architecture.fingerprint
    assert sum(part["values"] for part in query["weights"].values()) == sum(
        tensor.numel() for tensor in QUERY.network.state_dict().values()
    )
    assert GALLERY[:12] in result.out
    assert GALLERY not in result.out


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_an_exported_file_says_what_it_was_made_from(
    target: str, files: dict[str, Path], edgecmp: Edgecmp
) -> None:
    report = api.inspect(files[target])
    (found,) = report.artefacts
    assert isinstance(found, Inspection)
    assert found.what.startswith(f"query network exported to {target} fp")
    assert found.sound
    assert {check.verdict for check in found.checks} == {"ok"}
    assert found.checks[0].name == "every byte is as it was written"
    facts = found.facts
    assert facts["weights_sha256"] == QUERY.sha256
    assert facts["gallery_sha256"] == GALLERY
    assert facts["preprocessing"] == QUERY.preprocessing.to_dict()
    kind = "float32" if facts["precision"] == "fp32" else "float16"
    (first, largest), *_ = facts["weights"].items()
    assert first == kind
    assert 0.9 < largest["bytes"] / facts["size"]["bytes"] < 1 or target != "onnx"
    convolutions = {"tflite": "CONV_2D", "onnx": "Conv", "coreml": "conv"}[target]
    assert facts["operators"][convolutions] > 40
    side = QUERY.preprocessing.input_size
    assert str(side) in facts["inputs"][0]
    assert facts["outputs"][0].startswith("embedding: float")
    assert edgecmp("inspect", files[target]).code == 0
    assert re.search(rf"\n  operators +{sum(facts['operators'].values())}: ", str(report))


def test_another_index_is_a_failed_check(
    files: dict[str, Path], edgecmp: Edgecmp, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    shutil.copytree(kit.path("index"), index)
    manifest = json.loads((index / "manifest.json").read_text())
    manifest["gallery_sha256"] = "cd" * 32
    (index / "manifest.json").write_text(json.dumps(manifest))
    for path in (kit.path("query"), kit.path("gallery"), files["tflite"]):
        assert edgecmp("inspect", path, "--index", kit.path("index")).code == 0
        result = edgecmp("inspect", path, "--index", index)
        assert result.code == 1
        assert "FAILED: the index was made by gallery model cdcdcdcdcdcd" in result.out


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("truncated", "weights are complete"),
        ("changed", "weights are those that the manifest names"),
        ("other", "manifest is as written"),
    ],
)
def test_a_damaged_bundle_is_described_and_fails(
    damage: str, says: str, edgecmp: Edgecmp, tmp_path: Path
) -> None:
    folder = tmp_path / "query"
    shutil.copytree(kit.path("query"), folder)
    weights = folder / "weights.safetensors"
    content = weights.read_bytes()
    if damage == "truncated":
        weights.write_bytes(content[:-9])
    elif damage == "changed":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        Architecture.random("100M", seed=9, input_size=64).save(folder / "architecture.json")
    result = edgecmp("inspect", folder)
    assert result.code == 1
    (line,) = [line for line in result.out.splitlines() if "FAILED" in line]
    assert says in line
    assert QUERY.sha256[:12] in result.out


def test_a_changed_index_fails(edgecmp: Edgecmp, tmp_path: Path) -> None:
    shutil.copytree(kit.path("index"), tmp_path / "index")
    file = tmp_path / "index" / "images.json"
    file.write_text(file.read_text().replace("google/", "gaggle/", 1))
    result = edgecmp("inspect", tmp_path / "index")
    assert result.code == 1
    assert "FAILED: The files of the gallery index" in result.out


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_unreadable(
    target: str, share: float, files: dict[str, Path], edgecmp: Edgecmp, tmp_path: Path
) -> None:
    cut = tmp_path / files[target].name
    if target == "coreml":
        shutil.copytree(files[target], cut)
        (victim,) = cut.rglob("weight.bin")
    else:
        victim = Path(shutil.copy(files[target], cut))
    content = victim.read_bytes()
    victim.write_bytes(content[: int(share * len(content))])
    result = edgecmp("inspect", cut, kit.path("index"))
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert cut.name in result.err
    assert "gallery index" in result.out, "what comes after it is still shown"


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_one_flipped_bit_is_found_by_every_command(
    target: str, files: dict[str, Path], edgecmp: Edgecmp, tmp_path: Path
) -> None:
    copy = tmp_path / files[target].name
    if target == "coreml":
        shutil.copytree(files[target], copy)
        (victim,) = copy.rglob("weight.bin")
    else:
        victim = Path(shutil.copy(files[target], copy))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    for words in (("inspect", copy), ("parity", copy), ("find", photo, "--model", copy)):
        result = edgecmp(*words)
        assert result.code == 2
        assert f"{copy.name} was changed since it was written." in result.err
        assert "was changed since it was written" not in result.out


def test_a_file_from_elsewhere(foreign: Path, edgecmp: Edgecmp) -> None:
    result = edgecmp("inspect", foreign)
    assert result.code == 0
    assert "onnx model, no edgecmp metadata" in result.out
    assert "x: float32 (N, 3, 8, 8)" in result.out
    assert "1: 1 Relu" in result.out


def test_a_description_of_one(files: dict[str, Path], edgecmp: Edgecmp, tmp_path: Path) -> None:
    model = onnx.load(files["onnx"])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "q.onnx", save_as_external_data=True, location="q.data")
    lines = ('onnx = "q.onnx"', "mean = [0.5, 0.5, 0.5]", "std = [0.5, 0.5, 0.5]")
    (tmp_path / "q.toml").write_text("\n".join((*lines, f'gallery = "{GALLERY}"')))
    result = edgecmp("inspect", tmp_path / "q.toml", tmp_path / "q.onnx")
    assert result.code == 0, result.err
    assert "description of an ONNX model" in result.out
    assert "q.data" in result.out
    assert "can search the starter kit's index  ok" in result.out
    (tmp_path / "q.toml").write_text("\n".join(lines))
    index = GalleryIndex.build(
        open_gallery(tmp_path / "q.toml"),
        load_dataset("emoji").retrieval("validation").gallery.subset(range(3)),
        tmp_path / "index",
    )
    made = edgecmp("inspect", tmp_path / "q.toml", "--index", tmp_path / "index")
    assert f"made index {tmp_path / 'index'}  ok" in made.out
    assert index.manifest.gallery_sha256[:12] in made.out
    other = edgecmp("inspect", tmp_path / "q.toml", "--index", kit.path("index"))
    assert other.code == 0
    assert "unknown: it names no gallery model" in other.out
    (tmp_path / "q.data").unlink()
    result = edgecmp("inspect", tmp_path / "q.onnx")
    assert result.code == 1
    assert "FAILED: q.data" in result.out


def candidate(number: int) -> Candidate:
    architecture = Architecture.random("100M", seed=number)
    return Candidate(
        generation=1,
        index=number,
        genes=tuple(architecture.genes),
        flops=10**8,
        metric="top1",
        measurement=Measurement(mqq={"top1": 0.5}, mqg={"top1": 0.6}),
    )


def test_a_search_that_goes_on(edgecmp: Edgecmp, tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    with History.opened(file, {"metric": "top1", "budget": 10**8}) as history:
        for number in range(3):
            history.append(candidate(number))
    result = edgecmp("inspect", tmp_path)
    assert result.code == 0, result.err
    assert "architecture search, not ended" in result.out
    assert "candidates" in result.out
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    result = edgecmp("inspect", file)
    assert result.code == 0
    assert "unknown: the last line is cut off" in result.out
    file.write_bytes(content.replace(b'"flops":100000000', b'"flops":"many"', 1))
    result = edgecmp("inspect", file)
    assert result.code == 1
    assert "FAILED: line 2" in result.out


def test_an_architecture(edgecmp: Edgecmp, tmp_path: Path) -> None:
    architecture = Architecture.random("230M", seed=1)
    architecture.save(tmp_path / "a.json")
    (found,) = api.inspect(tmp_path / "a.json").artefacts
    assert isinstance(found, Inspection)
    assert found.facts["architecture_sha256"] == architecture.fingerprint
    assert found.facts["architecture"].startswith("tier 230M")
    assert edgecmp("inspect", tmp_path / "a.json").code == 0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone", None, "does not exist"),
        ("notes.txt", "hello", "is not an artefact of edgecmp"),
        ("a.json", "{}", "is not an edgecmp architecture"),
        ("a.onnx", "no", "a.onnx"),
        ("a.tflite", "no", "not a TFLite file"),
        ("a.toml", "onx = 'a.onnx'", "Did you mean onnx?"),
        ("history.jsonl", "{}", "not the header of a search"),
        ("result.json", "{}", "is not the result of a search"),
    ],
)
def test_what_cannot_be_read(
    name: str, content: str | None, says: str, edgecmp: Edgecmp, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    result = edgecmp("inspect", tmp_path / name)
    assert result.code == 2
    assert says in result.err


def test_a_latency_table(edgecmp: Edgecmp, tmp_path: Path) -> None:
    table = make_table(lowering=lowering_fingerprint()).save(tmp_path / "table.json")
    done = edgecmp("inspect", table)
    assert done.code == 0
    assert re.search(r"what +latency table", done.out)
    assert re.search(r"compared with complete networks +unknown: run edgecmp latency", done.out)
    make_table().save(table)
    done = edgecmp("inspect", table)
    assert done.code == 1
    assert re.search(r"lowered as by this edgecmp +FAILED: build it again", done.out)
