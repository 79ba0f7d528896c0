"""Why ONNX Runtime refuses a file, as an error that names the cause."""

from __future__ import annotations

import re
from pathlib import Path

from edgecmp.errors import UserError

__all__ = ["load_refusal", "one_line"]

IR_VERSION = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
OPSET = re.compile(
    r"Opset (\d+) is under development.*official support for domain (\S+) is till opset (\d+)",
    re.DOTALL,
)
UNKNOWN_OPERATOR = re.compile(
    r"No Op registered for (\S+)|op_type:(\S+?)[\s,]|(\S+)\(-?\d+\) is not a registered"
    r"|Could not find an implementation for (\S+?)\("
)
EXTERNAL_WEIGHTS = re.compile(r"external data", re.IGNORECASE)
ORIGIN = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:\S*/onnxruntime\S* .*?\) )?")
"""What ONNX Runtime's messages begin with: a code, and the place in its source."""

UPDATE = "Update it with `pip install --upgrade onnxruntime`, or export the network again with"


def load_refusal(path: Path, error: Exception, version: str) -> UserError:
    """The error for a file that ONNX Runtime does not load.

    Args:
        path: of the file.
        error: what ONNX Runtime raised.
        version: of the installed ONNX Runtime.
    """
    text, runtime = str(error), f"the installed ONNX Runtime {version}"
    if found := IR_VERSION.search(text):
        return UserError(
            f"{path} has ONNX's IR version {found[1]}, but {runtime} reads versions up to "
            f"{found[2]}.",
            f"{UPDATE} an IR version of at most {found[2]}.",
        )
    if found := OPSET.search(text):
        return UserError(
            f"{path} has version {found[1]} of the operator set {found[2]}, but {runtime} reads "
            f"versions up to {found[3]}.",
            f"{UPDATE} an opset_version of at most {found[3]}.",
        )
    if found := UNKNOWN_OPERATOR.search(text):
        operator = next(name for name in found.groups() if name)
        return UserError(
            f"{path} uses the operator {operator} in a way that {runtime} does not support "
            f"({one_line(error)}).",
            f"{UPDATE} standard operators of ONNX and float32 weights.",
        )
    if EXTERNAL_WEIGHTS.search(text):
        return UserError(
            f"ONNX Runtime does not read the external weights of {path} ({one_line(error)}).",
            "Put the .onnx file and its weights themselves, not links to them, into one folder.",
        )
    return UserError(
        f"ONNX Runtime cannot load {path}: {one_line(error)}.",
        "Copy the file again if it was changed on the way, or export the network again.",
    )


def one_line(error: Exception) -> str:
    """The first line of an error of ONNX Runtime, without its codes."""
    line = str(error).strip().partition("\n")[0]
    return ORIGIN.sub("", line).strip().rstrip(".") or type(error).__name__
