"""The verb, for every target and precision of the table."""

from __future__ import annotations

import errno
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.artefacts.manifest import Manifest
from edgecmp.errors import UserError
from edgecmp.export import Metadata, export, targets
from edgecmp.export.formats import registry as registry
from edgecmp.export.formats.coreml import writer as coreml
from edgecmp.networks.query import QueryNet
from edgecmp.preprocessing import Preprocessing
from tests.fixtures.runtimes import needs_coremltools

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
        ({"out": f"{'n' * 300}.tflite"}, r"n\.tflite cannot be written: File name too long"),
        ({"out": "a\0b.tflite"}, "its name contains a NUL character"),
        ({"out": "/proc/version/net.tflite"}, "cannot be written|is a file, not a folder"),
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
    with pytest.raises(UserError, match=r"The disk is full.*Free some space"):
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


def small_folder(network: QueryNet, folder: Path) -> Path:
    manifest = Manifest(kind="query", preprocessing=Preprocessing(input_size=64).to_dict())
    QueryBundle(network=network, manifest=manifest).save(folder)
    return folder


@needs_coremltools
def test_a_package_needs_no_space_but_that_of_its_folder(
    baseline_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """coremltools writes temporary packages: into the system's folder, which may be full."""
    system = tmp_path / "system"
    system.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(system))
    system.chmod(0o500)
    made = export("coreml", model=baseline_folder, out=tmp_path / "out" / "net.mlpackage")
    assert list(system.iterdir()) == []
    assert tempfile.tempdir == str(system)
    assert [made.path] == list((tmp_path / "out").iterdir())


@needs_coremltools
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("[MIL FileWriter]: Unknown error occurred"), UserError),
        (RuntimeError("filesystem error: cannot copy: Input/output error [/a] [/b]"), UserError),
        (OSError(errno.ENOSPC, "full"), UserError),
        (RuntimeError("an operator is wrong"), RuntimeError),
    ],
)
def test_what_coremltools_cannot_write_is_named(
    error: Exception,
    expected: type[Exception],
    baseline_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(coreml, "_convert", fail)
    with pytest.raises(expected) as caught:
        export("coreml", model=baseline_folder, out=tmp_path / "net.mlpackage")
    if expected is UserError:
        assert "net.mlpackage" in str(caught.value)
        assert "Free some space" in str(caught.value)
        assert ".part" not in str(caught.value), "hidden temporary files are not named"
    assert list(tmp_path.iterdir()) == []


@needs_coremltools
@pytest.mark.slow
@pytest.mark.parametrize("limit", [2**10, 2**16, 2**20])
def test_a_disk_that_is_full_for_compiled_code_is_named(
    baseline_folder: Path, tmp_path: Path, limit: int
) -> None:
    """In a child process, whose files may not grow beyond a limit."""
    out = tmp_path / "net.mlpackage"
    out.mkdir()
    (out / "Manifest.json").write_text("before")
    code = (
        "import resource, sys; from edgecmp.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY)); "
        f"sys.exit(main(['export', '--target', 'coreml', '--model', {str(baseline_folder)!r}, "
        f"'--out', {str(out)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert re.search(r"net\.mlpackage was not written.*Free some space", line)
    assert [file.name for file in tmp_path.rglob("*")] == ["net.mlpackage", "Manifest.json"]
    assert (out / "Manifest.json").read_text() == "before"


def test_a_network_that_embeds_all_images_alike_is_told(
    query_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = QueryBundle.load(query_folder)
    assert isinstance(bundle.network, QueryNet)
    with torch.no_grad():
        bundle.network.embedding.bn.bias.add_(1000)
    export("tflite", model=small_folder(bundle.network, tmp_path / "query"), out=tmp_path)
    assert "embeds different images almost alike" in capsys.readouterr().err


@pytest.mark.parametrize(("target", "precision"), [("tflite", "fp32"), ("tflite", "int8")])
def test_a_network_that_is_not_finite_is_refused_by_its_layer(
    target: str, precision: str, query_folder: Path, tmp_path: Path
) -> None:
    bundle = QueryBundle.load(query_folder)
    assert isinstance(bundle.network, QueryNet)
    with torch.no_grad():  # finite weights, whose products are not
        for module in bundle.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.mul_(1e8)
    folder = small_folder(bundle.network, tmp_path / "query")
    says = r"not finite: the first are those of \S+, for \d+ of \d+ images"
    with pytest.raises(UserError, match=says):
        export(target, model=folder, precision=precision, data="emoji", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
