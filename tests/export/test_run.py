"""The verb, for every target and precision of the table."""

from __future__ import annotations

import errno
import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.errors import UserError
from edgecmp.export import Metadata, export, targets
from edgecmp.export.formats import registry as registry

PAIRS = [(name, precision) for name, t in targets().items() for precision in t.precisions]


def largest_file(path: Path) -> Path:
    """The file itself, or the largest one of a package."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return max(files, key=lambda file: file.stat().st_size)


@pytest.mark.slow(
    quick=[
        "tflite-fp32",
        "tflite-fp16",
        "tflite-int8-weights",
        "tflite-int8",
        "coreml-fp32",
        "onnx-fp32",
        "onnx-fp16",
    ]
)
@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_writes_a_file_that_says_what_it_is(
    name: str,
    precision: str,
    baseline_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exported = export(name, model=baseline_folder, precision=precision, data="emoji", out=tmp_path)
    assert exported.path == tmp_path / f"query-{precision}{targets()[name].suffix}"
    assert list(tmp_path.iterdir()) == [exported.path]
    row = exported.to_dict()["rows"][0]
    assert (row["target"], row["precision"], row["path"]) == (name, precision, str(exported.path))
    assert row["size_mb"] > 0.5
    line = capsys.readouterr().err.splitlines()[-1]
    for part in (name, precision, str(exported.path), " MB", " s"):
        assert part in line
    metadata = Metadata.read(targets()[name].read(exported.path), source="it")
    bundle = QueryBundle.load(baseline_folder)
    assert (metadata.target, metadata.precision) == (name, precision)
    assert metadata.build_architecture() == bundle.architecture
    assert metadata.build_preprocessing() == bundle.preprocessing
    assert metadata.weights_sha256 == bundle.sha256
    assert metadata.gallery_sha256 == "ab" * 32

    file = largest_file(exported.path)
    whole = file.read_bytes()
    for share in (0.02, 0.5, 0.999):
        file.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UserError, match=exported.path.name):
            targets()[name].read(exported.path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"target": "tflit"}, "Did you mean tflite.*tflite, coreml, onnx"),
        ({"precision": "fp8"}, "Unknown precision for tflite 'fp8'.*fp32, fp16"),
        ({"out": "net.onnx"}, r"ends with '\.onnx', but tflite files end with '\.tflite'"),
        ({"model": "nowhere"}, "nowhere"),
    ],
)
def test_refuses(arguments: dict[str, str], says: str, query_folder: Path, tmp_path: Path) -> None:
    wanted = {"target": "tflite", "precision": "fp32", "out": "net.tflite"} | arguments
    model = tmp_path / wanted["model"] if "model" in wanted else query_folder
    with pytest.raises(UserError, match=says):
        export(
            wanted["target"],
            model=model,
            precision=wanted["precision"],
            out=tmp_path / wanted["out"],
        )
    assert not list(tmp_path.iterdir())


def test_names_the_command_that_installs_a_missing_package(
    query_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "flatbuffers" else find(name)
    )
    with pytest.raises(UserError, match=r"flatbuffers\. .*pip install 'edgecmp\[export\]'"):
        export("tflite", model=query_folder, out=tmp_path)


@pytest.mark.parametrize("suffix", [".tflite", ".mlpackage"])
def test_a_failure_leaves_what_was_there(
    suffix: str, query_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(job: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "full")

    out = tmp_path / f"net{suffix}"
    out.write_text("before")
    broken = replace(targets()["tflite"], write=fail, suffix=suffix)
    monkeypatch.setattr(registry, "target", lambda name: broken)
    with pytest.raises(UserError, match=r"No space left.*Free some space"):
        export("tflite", model=query_folder, out=out)
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_replaces_a_package_but_no_other_folder(
    query_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def package(content: str) -> Callable[..., None]:
        def write(job: object, path: Path) -> None:
            path.mkdir()
            (path / "Manifest.json").write_text(content)

        return write

    out = tmp_path / "net.mlpackage"
    for content in ("first", "second"):
        fake = replace(targets()["tflite"], write=package(content), suffix=".mlpackage")
        monkeypatch.setattr(registry, "target", lambda name, fake=fake: fake)
        export("tflite", model=query_folder, out=out)
        assert (out / "Manifest.json").read_text() == content
    assert list(tmp_path.iterdir()) == [out]
    shutil.rmtree(out)
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="folder with other files, not a package to replace"):
        export("tflite", model=query_folder, out=out)
    assert (out / "thesis.txt").read_text() == "mine"
