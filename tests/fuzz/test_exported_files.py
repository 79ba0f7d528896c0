"""Mutated model files: a change of an exported file is found before any runtime sees it, and files
of other tools, about which nothing is known, end in a description or a sentence.

A slice runs in the quick suite; `make fuzz` runs more (EDGECMP_FUZZ).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from edgecmp.errors import UserError
from edgecmp.export import export, targets
from edgecmp.export.contents import read_contents
from edgecmp.export.runtimes import open as opening
from edgecmp.export.runtimes.exported_model import open_embedder
from edgecmp.export.runtimes.open import open_model
from edgecmp.integrity import FORMAT, SEAL, verify
from edgecmp.networks.onnx_trial import try_onnx
from tests.fixtures.mutations import mutated

MUTANTS = int(os.environ.get("EDGECMP_FUZZ", "0"))
SLICE, SLICE_OF_CHILDREN = 60, 4
SHARE, SHARE_OF_CHILDREN, SHARE_OF_COREML = 10, 50, 400
"""Of all mutants, one in so many is one of each test's; a child takes a quarter of a second, and
three seconds to import coremltools."""

SECONDS = 150
"""A child that takes longer is not ended by its own limits."""

TARGETS = ("tflite", "onnx", "coreml")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """exported(target): the starter kit's network, written once."""
    folder = tmp_path_factory.mktemp("exported")

    def make(target: str) -> Path:
        path = folder / f"query{targets()[target].suffix}"
        return path if path.exists() else export(target, out=path).path

    return make


def copied(path: Path, folder: Path) -> Path:
    place = folder / path.name
    return Path(shutil.copytree(path, place) if path.is_dir() else shutil.copy(path, place))


def files_of(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def made_older(path: Path) -> Path:
    """The file as an edgecmp wrote it that knew no seal."""
    for file in files_of(path):
        content = SEAL.sub(lambda match: b'"before": ' + match[0][17:], file.read_bytes())
        file.write_bytes(content.replace(FORMAT.encode(), b"edgecmp-export/2"))
    with pytest.raises(UserError, match="older edgecmp"):
        verify(path)
    return path


@pytest.mark.parametrize("age", ["current", "older"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_changed_export_is_found_before_a_runtime_sees_it(
    target: str,
    age: str,
    exported: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = copied(exported(target), tmp_path)
    if age == "older":
        made_older(path)

    def reached(*_: object) -> None:
        raise ReachedError

    monkeypatch.setattr(opening, "try_runtimes", reached)
    generator = random.Random(f"{target} {age}")
    outcomes: Counter[str] = Counter()
    for _ in range(max(SLICE, MUTANTS // SHARE) if age == "current" else SLICE // 3):
        file = generator.choice(files_of(path))
        content = file.read_bytes()
        changed = mutated(content, generator, document=file.suffix == ".json")
        file.write_bytes(changed)
        same = file.suffix == ".json" and equal_documents(content, changed)
        found = [outcome(look, path) for look in (verify, open_model, open_embedder)]
        outcomes.update(found)
        assert same or not {"whole", "reached"}.intersection(found), (file, len(changed), found)
        file.write_bytes(content)
    if age == "current":
        assert outcomes["changed"] > 0.8 * outcomes.total(), outcomes


class ReachedError(Exception):
    """A runtime would have seen the file."""


def outcome(look: Callable[[Path], object], path: Path) -> str:
    """What became of a file: "whole", "reached", "changed", or another reason for refusing it."""
    try:
        return "whole" if look(path) else "no export"
    except ReachedError:
        return "reached"
    except UserError as error:
        return "changed" if "was changed since it was written" in error.what else "refused"


def equal_documents(one: bytes, other: bytes) -> bool:
    """Whether both are JSON with the same content."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


def sentence(read: Callable[[], object]) -> str:
    """The error of a reader; empty if it raises none. It comes within the time of a child."""
    started = time.monotonic()
    try:
        read()
        found = ""
    except UserError as error:
        found = error.what
    assert time.monotonic() - started < SECONDS
    return found


@pytest.mark.slow(quick=["tflite", "onnx"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_file_of_another_tool_is_described_or_refused(
    target: str, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    """In child processes, whose crashes, hangs and hunger are sentences as well."""
    path = copied(exported(target), tmp_path)
    generator = random.Random(f"{target} described")
    share = SHARE_OF_COREML if target == "coreml" else SHARE_OF_CHILDREN
    for _ in range(max(SLICE_OF_CHILDREN, MUTANTS // share)):
        file = generator.choice(files_of(path))
        content = file.read_bytes()
        changed = mutated(content, generator, document=file.suffix == ".json")
        file.write_bytes(changed)
        said = sentence(lambda: read_contents(path, whole=False))
        assert not said or path.name in said
        file.write_bytes(content)


def test_an_onnx_file_of_another_tool_never_ends_the_process(
    exported: Callable[[str], Path], tmp_path: Path
) -> None:
    model = onnx.load(exported("onnx"))
    del model.metadata_props[:]
    path = tmp_path / "external.onnx"
    content = model.SerializeToString()
    generator = random.Random("external")
    for _ in range(max(SLICE_OF_CHILDREN, MUTANTS // SHARE_OF_CHILDREN)):
        path.write_bytes(mutated(content, generator, document=False))
        assert not verify(path)
        said = sentence(lambda: try_onnx(path))
        assert not said or "external.onnx cannot be loaded" in said
