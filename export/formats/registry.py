"""The registry of export targets, which the command line, the readers and the tests follow."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import unknown_choice
from edgecmp.integrity import seal

if TYPE_CHECKING:
    from edgecmp.export.lowering import LoweredNet
    from edgecmp.export.metadata import Metadata

__all__ = ["INPUTS", "Job", "Reader", "Target", "Writer", "register_target", "target", "targets"]

INPUTS = ("tensor", "image")
"""Possible inputs of a file: normalised float32 values, or the image's pixels; see `Metadata`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """The arguments of a writer.

    Attributes:
        network: lowered; its graph reads pixels if `metadata.input` is "image".
        metadata: the document to store in the file; it names the precision.
        images: for the precisions of `Target.calibrated`: real training images (N, S, S, 3) uint8.
    """

    network: LoweredNet
    metadata: Metadata
    images: NDArray[np.uint8] | None = None


Writer: TypeAlias = Callable[[Job, Path], None]
Reader: TypeAlias = Callable[[Path], bytes]

FORMATS = ("tflite", "coreml", "onnx")
"""Folders of this package whose `writer` registers a target and must be cheap to import."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One file format that a query network can be exported to.

    Attributes:
        name: the value of --target.
        suffix: of the files, with the dot.
        precisions: the values of --precision, the default first.
        calibrated: those precisions whose writer needs real images.
        inputs: which of `INPUTS` its files can read.
        systems: the values of --system, the oldest system that must run the file; empty: the
            files run on any system.
        packages: modules that the writer imports beyond the core; missing ones are a user error.
        without: names of the rewrites of `edgecmp.export.lowering` that do not help this format.
        write: writes the network and the metadata of a `Job` to a path that does not exist yet,
            and seals the file.
        read: returns the metadata document inside such a file; raises a `UserError` if the file is
            truncated, of another format or without the document.
    """

    name: str
    suffix: str
    precisions: tuple[str, ...]
    calibrated: tuple[str, ...]
    inputs: tuple[str, ...]
    systems: tuple[str, ...]
    packages: tuple[str, ...]
    without: tuple[str, ...]
    write: Writer
    read: Reader

    @property
    def missing(self) -> list[str]:
        """Those of `packages` that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]


_TARGETS: dict[str, Target] = {}


def register_target(
    name: str,
    *,
    suffix: str,
    precisions: tuple[str, ...],
    read: Reader,
    calibrated: tuple[str, ...] = (),
    inputs: tuple[str, ...] = INPUTS,
    systems: tuple[str, ...] = (),
    packages: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
) -> Callable[[Writer], Writer]:
    """Registers the decorated function as the writer of a target; see `Target`.

    The target's `write` also seals the file (see `edgecmp.integrity`), so the writer must store the
    bytes of `Metadata.write` once and unchanged.
    """

    def register(writer: Writer) -> Writer:
        @functools.wraps(writer)
        def write(job: Job, path: Path) -> None:
            writer(job, path)
            seal(path)

        _TARGETS[name] = Target(
            name=name,
            suffix=suffix,
            precisions=precisions,
            calibrated=calibrated,
            inputs=inputs,
            systems=systems,
            packages=packages,
            without=without,
            write=write,
            read=read,
        )
        return write

    return register


def targets() -> Mapping[str, Target]:
    """All targets, by name: those of `FORMATS` in their order, then any others."""
    for name in FORMATS:
        importlib.import_module(f"edgecmp.export.formats.{name}.writer")
    return {name: _TARGETS[name] for name in (*FORMATS, *_TARGETS)}


def target(name: str) -> Target:
    """The target of a name.

    Raises:
        UserError: there is no such target; the message lists them.
    """
    registered = targets()
    if name not in registered:
        raise unknown_choice("target", name, registered)
    return registered[name]
