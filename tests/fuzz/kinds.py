"""The artefacts that are mutated: how each is written, and what a command takes from it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from edgecmp import kit
from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.artefacts.kind import artefact_kind
from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.bench.compare import Earlier
from edgecmp.benchmarks.bench.document import FORMAT
from edgecmp.benchmarks.devices import Visit
from edgecmp.benchmarks.latency.journal import Journal
from edgecmp.benchmarks.paper.run import Runs
from edgecmp.data import load_dataset
from edgecmp.data.dataset import Dataset
from edgecmp.data.shard_writer import write_shards
from edgecmp.files import sha256_json, sha256_tensors
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.open import open_gallery
from edgecmp.gallery.source import open_source
from edgecmp.networks.form import load_form
from edgecmp.preprocessing import Preprocessing
from edgecmp.search.results.history import read_history
from tests.fixtures.deepfashion2_layout import write_deepfashion2
from tests.fixtures.latency_tables import make_table
from tests.fixtures.orl import write_ijbc
from tests.fixtures.small_training import DIM, small_gallery
from tests.fixtures.toy_evaluator import toy_search

__all__ = ["KINDS", "ArtefactKind"]

DOCUMENTS = (".json", ".jsonl", ".toml", ".csv", ".txt", ".tsv", ".runs")


@dataclass(frozen=True, kw_only=True)
class ArtefactKind:
    """A kind of artefact.

    Args:
        make: writes one into an empty folder and returns what `load` takes.
        load: opens it as a command does; returns a hash of what the command would then use.
        sealed: whether edgecmp wrote it with hashes, so that no change may be accepted; a file that
            people write may mean something else after a change.
        files: which files are mutated, as a pattern below the folder.
        slow: mutants in the quick suite would take too long.
    """

    make: Callable[[Path], Path]
    load: Callable[[Path], str]
    sealed: bool
    files: str = "**/*"
    slow: bool = False


def _bundle(part: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return Path(shutil.copytree(kit.path(part), folder / part))

    return make


def _small_gallery(folder: Path) -> Path:
    gallery = small_gallery()
    network = {"name": gallery.network.name, "embedding_dim": DIM, "input_size": 32}
    manifest = gallery.manifest.model_copy(update={"network": network})
    replace(gallery, manifest=manifest).save(folder / "gallery")
    return folder / "gallery"


def _of_bundle(bundle: QueryBundle | GalleryBundle | SupernetBundle) -> str:
    return sha256_json(
        [
            sha256_tensors(bundle.network.state_dict()),
            bundle.preprocessing.fingerprint,
            bundle.manifest.gallery_sha256,
            bundle.manifest.data,
            bundle.manifest.recipe,
        ]
    )


def _index(folder: Path) -> Path:
    images = load_dataset("emoji").validation.subset(np.arange(40))
    GalleryIndex.build(small_gallery(), images, folder / "index")
    return folder / "index"


def _of_index(path: Path) -> str:
    index = GalleryIndex.load(path)
    return sha256_json(
        [
            index.embeddings.tobytes().hex(),
            index.identities.tolist(),
            index.keys,
            index.identity_names,
            index.manifest.preprocessing,
            index.manifest.gallery_sha256,
        ]
    )


def _table(folder: Path) -> Path:
    return make_table().save(folder / "table.json")


def _history(folder: Path) -> Path:
    toy_search(folder / "history.jsonl")
    return folder / "history.jsonl"


def _of_history(path: Path) -> str:
    _, candidates = read_history(path)
    return sha256_json([candidate.to_dict() for candidate in candidates])


JOURNAL = {"tier": "100M"}


def _journal(folder: Path) -> Path:
    with Journal.opened(folder / "table.json.runs", JOURNAL) as journal:
        for name in ("a", "b", "c"):
            visit = Visit(
                model=0,
                wall_us=(1.5, 2.5),
                cpu_us=(1.0, 2.0),
                switches=(0, 1),
                init_us=1.0,
                first_us=1.0,
            )
            journal.add(name, 0, visit)
    return journal.path


def _of_journal(path: Path) -> str:
    with Journal.opened(path, JOURNAL) as journal:
        return sha256_json(journal.visits)


def _photos(folder: Path, count: int = 24) -> Path:
    generator = np.random.default_rng(0)
    for index in range(count):
        place = folder / f"id{index // 3}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (12, 10, 3), np.uint8)
        suffix = ("jpg", "png", "webp")[index % 3]
        Image.fromarray(pixels).save(place / f"{index}.{suffix}")
    return folder


def _photo_folder(folder: Path) -> Path:
    return _photos(folder / "photos")


def _described(folder: Path) -> Path:
    _photos(folder / "photos")
    file = folder / "data.toml"
    file.write_text('path = "photos"\non_bad_image = "skip"\nvalidation_share = 0.2\n')
    return file


def _manifest(folder: Path) -> Path:
    photos = _photos(folder / "photos")
    rows = [
        f"{path.relative_to(folder)},{path.parent.name},1,1,9,9"
        for path in sorted(photos.rglob("*.*"))
    ]
    file = folder / "list.csv"
    file.write_text("\n".join(["path,identity,x1,y1,x2,y2", *rows, ""]))
    return file


def _pairs(folder: Path) -> Path:
    names = [path.relative_to(folder) for path in sorted(_photos(folder / "photos").rglob("*.*"))]
    rows = [f"{query},{match},train" for query, match in zip(names[::2], names[1::2], strict=False)]
    file = folder / "pairs.csv"
    file.write_text("\n".join(["query,match,split", *rows, ""]))
    return file


def _manifest_jsonl(folder: Path) -> Path:
    photos = _photos(folder / "photos")
    rows = [
        json.dumps(
            {
                "path": str(path.relative_to(folder)),
                "identity": path.parent.name,
                "box": [1, 1, 9, 9],
            }
        )
        for path in sorted(photos.rglob("*.*"))
    ]
    file = folder / "list.jsonl"
    file.write_text("\n".join([*rows, ""]))
    return file


def _imdb_face(folder: Path) -> Path:
    photos = _photos(folder / "nm")
    rows = [
        f"name,{path.parent.name},{path.stem},1 1 9 9,12 10,http://x/{path.name}"
        for path in sorted(photos.rglob("*.*"))
    ]
    file = folder / "nm" / "IMDb-Face.csv"
    file.write_text("\n".join(["name,index,image,rect,height width,url", *rows, ""]))
    return file


def _deepfashion2(folder: Path) -> Path:
    return write_deepfashion2(folder / "df2", train_pairs=6, test_pairs=4)


def _shards(folder: Path) -> Path:
    data = load_dataset(str(_photos(folder / "photos")))
    write_shards(data, folder / "shards")
    shutil.rmtree(folder / "photos")
    return folder / "shards"


def _of_dataset(path: Path) -> str:
    return _of_images(load_dataset(str(path)))


def _of_images(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for images in (dataset.train, dataset.validation, dataset.test):
        digest.update(images.pixels(Preprocessing(input_size=8)).tobytes())
        names = [images.identity_names[identity] for identity in images.identities]
        domains = [images.domain_names[domain] for domain in images.domains]
        digest.update(json.dumps([images.keys, names, domains]).encode())
    return digest.hexdigest()


def _embeddings(suffix: str) -> Callable[[Path], Path]:
    keys = [f"id{index // 3}/{index}.png" for index in range(12)]
    values = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)

    def make(folder: Path) -> Path:
        file, extra = folder / f"table.{suffix}", ""
        if suffix == "npz":
            np.savez(file, keys=np.array(keys), embeddings=values)
        elif suffix == "safetensors":
            from safetensors.numpy import save_file

            save_file({"embeddings": values}, file)
            (folder / "keys.txt").write_text("\n".join(keys))
            extra = 'keys = "keys.txt"\n'
        elif suffix == "csv":
            rows = [",".join([key, *map(str, row)]) for key, row in zip(keys, values, strict=True)]
            file.write_text("\n".join(["image,v0,v1,v2,v3,v4", *rows, ""]))
        else:
            lines = [
                json.dumps({"image": key, "embedding": row.tolist()})
                for key, row in zip(keys, values, strict=True)
            ]
            file.write_text("\n".join([*lines, ""]))
        described = folder / "gallery.toml"
        described.write_text(f'table = "table.{suffix}"\n{extra}')
        return described

    return make


def _of_table(path: Path) -> str:
    source = open_source(path)
    return source.sha256


def _onnx_model(folder: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[8, 8]),
            helper.make_node("Flatten", ["y"], ["z"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, folder / "gallery.onnx")
    described = folder / "gallery.toml"
    described.write_text('onnx = "gallery.onnx"\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n')
    return described


def _of_model(path: Path) -> str:
    model = open_gallery(path)
    images = np.random.default_rng(0).integers(0, 256, (2, *model.preprocessing.shape), np.uint8)
    return hashlib.sha256(model.embed(images).tobytes()).hexdigest()


def _ijbc(folder: Path) -> Path:
    write_ijbc(folder / "ijbc")
    return folder / "ijbc"


def _of_ijbc(path: Path) -> str:
    from edgecmp.data.ijbc import read_ijbc

    data = read_ijbc(path)
    digest = hashlib.sha256(data.faces.points.tobytes() + data.template_ids.tobytes())
    return digest.hexdigest()


def _architecture(folder: Path) -> Path:
    return Path(shutil.copy(kit.path("query") / "architecture.json", folder))


def _run(folder: Path) -> Path:
    place = folder / "tiny" / "query"
    place.mkdir(parents=True)
    run: dict[str, Any] = dict.fromkeys(("recipe", "key", "gallery_sha256"), "x")
    run |= {"settings": {"seed": 0}, "data": {"name": "emoji"}, "mflops": 1.5, "params_m": 0.5}
    run |= {"images_seen": 3, "scores": {"qq": {"top1": 1.0}}, "holdout": {}, "seconds": 1.0}
    document = {"format": "edgecmp-run/1", **run, "provenance": {}}
    (place / "run.json").write_text(json.dumps(document))
    return folder


def _of_run(path: Path) -> str:
    found = Runs(path, "tiny", recorded=False).get("query")
    return sha256_json(None if found is None else found.to_dict())


def _bench(folder: Path) -> Path:
    row: dict[str, Any] = {"file": "q.tflite", "sha256": "a" * 64, "runtime": "litert"}
    row |= {"version": "2", "threads": 1, "input_shape": "1x64x64x3", "governor": None}
    row |= {"statistic": "median", "verdict": "measured", "p50_ms": 1.5, "p90_ms": 2.5}
    document = {
        "format": FORMAT,
        "complete": True,
        "rows": [row],
        "device": {"name": "local"},
        "settings": {"mode": "warm", "minutes": 1.0, "input_size": None},
        "provenance": {"command": "edgecmp bench q.tflite"},
    }
    (folder / "bench.json").write_text(json.dumps(document))
    return folder / "bench.json"


def _of_bench(path: Path) -> str:
    return sha256_json(str(Earlier.read(path)))


def _of_form(path: Path) -> str:
    return load_form(path).fingerprint


def _of_kind(path: Path) -> str:
    return artefact_kind(path)


KINDS: dict[str, ArtefactKind] = {
    "query network": ArtefactKind(
        make=_bundle("query"), load=lambda path: _of_bundle(QueryBundle.load(path)), sealed=True
    ),
    "gallery model": ArtefactKind(
        make=_small_gallery,
        load=lambda path: _of_bundle(GalleryBundle.load(path)),
        sealed=True,
        slow=True,
    ),
    "supernet": ArtefactKind(
        make=_bundle("supernet"),
        load=lambda path: _of_bundle(SupernetBundle.load(path)),
        sealed=True,
        slow=True,
    ),
    "index": ArtefactKind(make=_index, load=_of_index, sealed=True),
    "shards": ArtefactKind(make=_shards, load=_of_dataset, sealed=True),
    "latency table": ArtefactKind(
        make=_table, load=lambda path: LatencyTable.load(path).fingerprint, sealed=True
    ),
    "history": ArtefactKind(make=_history, load=_of_history, sealed=False),
    "latency journal": ArtefactKind(make=_journal, load=_of_journal, sealed=False),
    "architecture": ArtefactKind(make=_architecture, load=_of_form, sealed=False),
    "run of a table": ArtefactKind(make=_run, load=_of_run, sealed=False),
    "earlier bench": ArtefactKind(make=_bench, load=_of_bench, sealed=False),
    "kind of an artefact": ArtefactKind(make=_table, load=_of_kind, sealed=False),
    "folder of photos": ArtefactKind(make=_photo_folder, load=_of_dataset, sealed=False),
    "described photos": ArtefactKind(make=_described, load=_of_dataset, sealed=False),
    "CSV manifest": ArtefactKind(make=_manifest, load=_of_dataset, sealed=False),
    "table of pairs": ArtefactKind(make=_pairs, load=_of_dataset, sealed=False),
    "JSONL manifest": ArtefactKind(make=_manifest_jsonl, load=_of_dataset, sealed=False),
    "IMDb-Face": ArtefactKind(make=_imdb_face, load=_of_dataset, sealed=False),
    "DeepFashion2": ArtefactKind(make=_deepfashion2, load=_of_dataset, sealed=False, slow=True),
    "IJB-C": ArtefactKind(make=_ijbc, load=_of_ijbc, sealed=False, files="ijbc/meta/*", slow=True),
    "table .npz": ArtefactKind(make=_embeddings("npz"), load=_of_table, sealed=False),
    "table .csv": ArtefactKind(make=_embeddings("csv"), load=_of_table, sealed=False),
    "table .jsonl": ArtefactKind(make=_embeddings("jsonl"), load=_of_table, sealed=False),
    "table .safetensors": ArtefactKind(
        make=_embeddings("safetensors"), load=_of_table, sealed=False
    ),
    "external ONNX": ArtefactKind(make=_onnx_model, load=_of_model, sealed=False, slow=True),
}
"""Every kind, by a name for messages. Exported files are in test_exported_files.py."""

torch.set_num_threads(1)
