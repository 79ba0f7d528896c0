"""What is known about a model file before it is opened: its precision and its images' size."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from edgecmp.documents import peek_toml
from edgecmp.errors import UserError
from edgecmp.preprocessing.fields import Size

__all__ = ["LARGEST_SIDE", "Stated", "parse_input_size", "stated"]

LARGEST_SIDE = 4096
"""Pixels of a side of an image, at most."""

DOCUMENT_START = re.compile(rb'\{\s*"(?:architecture|format)":')
LONGEST_DOCUMENT = 2**24
"""Bytes of a metadata document, at most."""

MOST_DESCRIPTIONS = 200
"""Files beside a model that are read in search of its description, at most."""


class Stated(NamedTuple):
    """What edgecmp's metadata in a file, or the description beside it, says about it.

    Attributes:
        precision: as stated in the metadata; None if edgecmp did not write the file.
        input_size: height and width of the images in pixels; None if it is not stated.
    """

    precision: str | None
    input_size: tuple[int, int] | None


def stated(path: Path, content: bytes) -> Stated:
    """Reads the metadata of an exported file, or else the .toml file that describes it.

    The description has the same name, or names the file in its key `onnx`.

    Args:
        path: of the file or package.
        content: of the file, or of the model in the package.

    Raises:
        UserError: the description states a size that images cannot have.
    """
    metadata = _metadata(content)
    if metadata is not None:
        preprocessing = metadata.get("preprocessing")
        size = preprocessing.get("input_size") if isinstance(preprocessing, dict) else None
        return Stated(str(metadata.get("precision")), _size(size))
    for description, document in _descriptions(path):
        if "input_size" in document:
            size = _size(document["input_size"])
            if size is None:
                raise UserError(
                    f"{description} states the input_size {str(document['input_size'])[:40]}, "
                    "which images cannot have.",
                    f"Write a whole number of pixels from 1 to {LARGEST_SIDE}, or [height, width].",
                )
            return Stated(None, size)
    return Stated(None, None)


def parse_input_size(text: str) -> tuple[int, int]:
    """Height and width of "224" or "112x96" (height first).

    Raises:
        UserError: it is neither, or a side is out of range.
    """
    match = re.fullmatch(r"([0-9]{1,9})(?:[xX*\N{MULTIPLICATION SIGN}]([0-9]{1,9}))?", text.strip())
    size = _size([int(match[1]), int(match[2] or match[1])]) if match else None
    if size is None:
        raise UserError(
            f"--input-size must be a number of pixels or height x width (got {text[:40]!r}).",
            f"Write --input-size 224 or --input-size 112x96, at most {LARGEST_SIDE} per side.",
        )
    return size


def _size(value: object) -> tuple[int, int] | None:
    """The size in a document; None if it is not one."""
    try:
        high, wide = TypeAdapter(Size).validate_python(value)
    except ValidationError:
        return None
    return (high, wide) if 1 <= min(high, wide) <= max(high, wide) <= LARGEST_SIDE else None


def _metadata(content: bytes) -> Mapping[str, Any] | None:
    """The document of edgecmp in a file, which every format stores as plain JSON."""
    for match in DOCUMENT_START.finditer(content):
        text = content[match.start() : match.start() + LONGEST_DOCUMENT].decode(errors="ignore")
        try:
            document, _ = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            continue
        if str(document.get("format", "")).startswith("edgecmp-export/"):
            return dict(document)
    return None


def _descriptions(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The .toml files beside a model that describe it: the one of the same name first."""
    own = path.with_suffix(".toml")
    others = [file for file in sorted(path.parent.glob("*.toml")) if file != own]
    for file in [own, *others[:MOST_DESCRIPTIONS]]:
        if file.is_file():
            document = peek_toml(file)
            if file == own or document.get("onnx") == path.name:
                yield file, document
