"""The table of export targets: it drives the choices, the docs, the reader and the tests."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import unknown_choice

if TYPE_CHECKING:
    from edgecmp.export.lowering import LoweredNet
    from edgecmp.export.metadata import Metadata

__all__ = ["INPUTS", "Job", "Reader", "Target", "Writer", "register_target", "target", "targets"]

INPUTS = ("tensor", "image")
"""What a file can read: normalised float32 values, or the pixels of the image (see `Metadata`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What a writer is given.

    Attributes:
        network: lowered; its graph reads pixels if `metadata.input` is "image".
        metadata: what the file will say about itself, the precision among it.
        images: for the precisions of `Target.calibrated`: real training images (N, S, S, 3) uint8.
    """

    network: LoweredNet
    metadata: Metadata
    images: NDArray[np.uint8] | None = None


Writer: TypeAlias = Callable[[Job, Path], None]
Reader: TypeAlias = Callable[[Path], bytes]

MODULES = ("tflite", "coreml", "onnx")
"""Modules of this package that register a target; importing one must stay cheap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One file format a query network can be exported to.

    Attributes:
        name: what the user types after --target.
        suffix: of the files, with the dot.
        precisions: what can follow --precision, the default first.
        calibrated: those of them whose writer looks at real images.
        inputs: which of `INPUTS` its files can read.
        systems: what can follow --system, the oldest system that must run the file; empty: nothing.
        packages: modules the writer imports beyond the core; absent ones are a user error.
        without: names of the rewrites of `edgecmp.export.lower` that do not pay here.
        write: does a `Job`: writes the lowered network with its metadata to a path that does not
            exist yet.
        read: the metadata document's bytes inside such a file; a file that is truncated, of
            another format or without the document is a `UserError`.
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
    """Decorates the writer of a target; see `Target` for the arguments."""

    def register(write: Writer) -> Writer:
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
    """All targets, by name, in the order of `MODULES`."""
    for module in MODULES:
        importlib.import_module(f"edgecmp.export.targets.{module}.writer")
    return {name: _TARGETS[name] for name in sorted(_TARGETS, key=MODULES.index)}


def target(name: str) -> Target:
    """The target of that name.

    Raises:
        UserError: there is no such target; the message lists them.
    """
    table = targets()
    if name not in table:
        raise unknown_choice("target", name, table)
    return table[name]
