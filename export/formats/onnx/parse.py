"""Parsing an ONNX file that may be damaged or of another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecmp.errors import UserError
from edgecmp.export.guarded_open import read_file

if TYPE_CHECKING:
    import onnx

__all__ = ["parse_onnx"]


def parse_onnx(path: Path) -> onnx.ModelProto:
    """The content of an .onnx file, without external weights.

    Raises:
        UserError: it cannot be read, is of another format, or is truncated.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return onnx.load_model_from_string(read_file(path))
    except DecodeError as error:
        raise UserError(
            f"{path} is not an ONNX file, or it is truncated or damaged.",
            "Copy it again, or write it again with the tool that made it.",
        ) from error
