"""Why a runtime did not load or run a model file, from the message of the runtime."""

from __future__ import annotations

import re
import signal

from edgecmp.benchmarks.devices.errors import DeviceRunError

__all__ = ["DAMAGED", "crash", "explain"]

DAMAGED = "it is truncated or damaged"
"""How the reason begins if a file is not whole."""

OLDER = ": update the runtime there, or write the file for an older one"
REASONS = (
    (
        r"model IR version: (\d+), max supported IR version: (\d+)",
        "its IR version {0} is newer than those that {runtime} reads (up to {1})" + OLDER,
    ),
    (
        r"Opset (\d+) is under development.* domain (\S+) is till opset (\d+)",
        "its opset {0} of {1} is newer than those that {runtime} reads (up to {2})" + OLDER,
    ),
    (
        r"(?:External data path does not exist: |open file |No such file or directory \[)"
        r"[\"']?(?:[^\"'\],]*/)?([^\"'\]/,]+?)[\"'\],]?(?: fail.*)?$",
        "its weights are in another file, {0}, which is not beside it: write one file that "
        "contains its weights, or, on this machine, copy that file to the same folder",
    ),
    (
        r"(Protobuf parsing failed|not a valid Flatbuffer buffer|No subgraph in the model|"
        r"No graph was found|allocation is null|Mmap of .* failed|model identifier)",
        DAMAGED + " ({text})",
    ),
    (
        r"bad_alloc|bad allocation|[Ff]ailed to allocate|[Uu]nable to allocate|BFCArena::Allocate",
        "it takes more memory than is free there",
    ),
    (
        r"find op for builtin opcode '(\w+)' version '(\d+)'",
        "it uses version {1} of the operator {0}, which is newer than {runtime}" + OLDER,
    ),
    (
        r"builtin_code out of range: (\d+)",
        "it uses operator number {0}, which is newer than {runtime}" + OLDER,
    ),
    (
        r"schema version (\d+) not equal to supported version (\d+)",
        "its schema version {0} is not the one that {runtime} reads ({1})",
    ),
    (
        r"Select TensorFlow op",
        "it uses operators of TensorFlow (Flex) that {runtime} does not have: convert it with "
        "TFLite's own operators only",
    ),
    (
        r"unresolved custom op: (\w+)",
        "it uses the custom operator {0}, which {runtime} does not have",
    ),
    (
        r"(\S+):(\w+)\(-?\d+\) is not a registered function/op",
        "it uses the operator {1} of {0}, which {runtime} does not have",
    ),
    (
        r"No Op registered for (\w+) with domain_version of (\d+)",
        "it uses the operator {0}, which is not in opset {1}",
    ),
    (
        r"find an implementation for (\w+)\((\d+)\)",
        "it uses the operator {0} of opset {1} with a type that {runtime} does not support",
    ),
)
"""Parts of the messages of runtimes, each with the reason why the file cannot be loaded."""

SIGNALLED = 128
"""Exit codes above it are of programs that a signal ended."""

LONGEST = 300
"""Characters of a message that is repeated as it is."""


def explain(message: str, runtime: str, shape: str | None = None) -> str:
    """The reason, as the end of a sentence about the file.

    Args:
        message: what the runtime raised, in one line.
        runtime: its name and version, such as "onnxruntime 1.18.0".
        shape: of the input on which the file did not run; None if it was not loaded.
    """
    text = re.sub(
        r"\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .* failed: ?)?", "", message
    )
    for part, reason in REASONS:
        if match := re.search(part, text):
            return reason.format(*match.groups(), runtime=runtime, text=text.rstrip("."))
    told = text[:LONGEST].rstrip(".")
    if shape is not None:
        return f"it does not run on an input of {shape} ({told})"
    return f"{runtime} cannot load it ({told})"


def crash(error: DeviceRunError) -> DeviceRunError:
    """The error with a reason of its own if a signal ended the runner while it had a model."""
    if error.code is None or error.code <= SIGNALLED:
        return error
    number = error.code - SIGNALLED
    name = next((f" ({found.name})" for found in signal.Signals if found == number), "")
    return DeviceRunError(
        f"the runtime crashed by signal {number}{name} while it loaded or ran the file",
        error.output,
        error.code,
    )
