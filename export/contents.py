"""Content: what a model file of any format contains."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edgecmp import caged
from edgecmp.errors import unknown_choice
from edgecmp.export.guarded_open import missing_package
from edgecmp.integrity import package_files

__all__ = ["Content", "describe", "read_contents"]

READERS = {
    ".tflite": "edgecmp.export.formats.tflite.contents:tflite_contents",
    ".mlpackage": "edgecmp.export.formats.coreml.contents:coreml_contents",
    ".onnx": "edgecmp.export.formats.onnx.contents:onnx_contents",
}
"""The function that reads the content of a file, by suffix."""

SECONDS = 30
"""Of processor time that the content of a file of another tool may take."""

MEMORY_PER_BYTE = 4
"""Bytes of memory per byte of a file: the file itself, and what its parser makes of weights."""


@dataclass(kw_only=True, slots=True)
class Content:
    """What a model file contains, as the reader of its format found it.

    Attributes:
        form: the format and its version.
        inputs, outputs: name, type and shape of each.
        operators: how often each is used.
        weights: by type: (number of values, bytes).
        weight_files: names of other files that the weights are stored in.
        has_metadata: whether it contains the metadata of an edgecmp export.
    """

    form: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    operators: Counter[str] = field(default_factory=Counter)
    weights: dict[str, tuple[int, int]] = field(default_factory=dict)
    weight_files: list[str] = field(default_factory=list)
    has_metadata: bool = False

    def count_weight(self, kind: str, values: int, size: int) -> None:
        """Adds one tensor of weights.

        Args:
            kind: its type.
            values: number of its values.
            size: its bytes.
        """
        before = self.weights.get(kind, (0, 0))
        self.weights[kind] = (before[0] + values, before[1] + size)

    def facts(self) -> dict[str, Any]:
        """The entries of an `Inspection`."""
        from edgecmp.inspection import weight_facts

        return {
            "format": self.form,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "operators": dict(self.operators.most_common()),
            "weights": weight_facts(self.weights),
            "weight_files": self.weight_files or None,
        }


def read_contents(path: Path, *, whole: bool) -> Content:
    """The content of a model file.

    Args:
        path: of the file or package, with the suffix of its format.
        whole: it is known to be as edgecmp wrote it; others are read in a child process, since a
            small hostile file can take any amount of time and memory.

    Raises:
        UserError: it cannot be read, or a package that reads its format is not installed.
    """
    if whole:
        return _read(path)
    size = sum(file.stat().st_size for file in _files(path))
    memory = caged.MEMORY + MEMORY_PER_BYTE * size
    found = caged.call(f"{__name__}:describe", path, memory=memory, seconds=SECONDS)
    operators = Counter(found.pop("operators"))
    weights = {kind: (values, size) for kind, (values, size) in found.pop("weights").items()}
    return Content(**found, operators=operators, weights=weights)


def _files(path: Path) -> list[Path]:
    """The file, or the files of a package."""
    return [path / name for name in package_files(path)] if path.is_dir() else [path]


def describe(path: Path) -> dict[str, Any]:
    """The fields of the content of a file, in the child process."""
    content = _read(path)
    return {field.name: getattr(content, field.name) for field in fields(content)}


def _read(path: Path) -> Content:
    if path.suffix not in READERS:
        raise unknown_choice("kind of model file", path.name, READERS)
    module, _, name = READERS[path.suffix].partition(":")
    with missing_package(path):
        content: Content = getattr(importlib.import_module(module), name)(path)
    return content
