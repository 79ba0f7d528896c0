"""Exporting: from a trained query network to a file for a device runtime."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.formats import registry
from edgecmp.export.formats.registry import Job, Target
from edgecmp.export.install import how_to_install
from edgecmp.export.metadata import Metadata
from edgecmp.export.quantisation.calibration import calibration_images, check_variety
from edgecmp.export.quantisation.finite import NonFinite
from edgecmp.export.quantisation.observers import batches
from edgecmp.files import provenance
from edgecmp.networks.collapse import warn_if_collapsed
from edgecmp.networks.onnx_probe import probe_images
from edgecmp.progress import duration, say
from edgecmp.report import Report
from edgecmp.storage import (
    check_writable_folder,
    disk_errors,
    replacing_folder,
    temporary_folder,
    write_atomic,
)

if TYPE_CHECKING:
    from edgecmp.artefacts.bundle import QueryBundle
    from edgecmp.export.lowering import LoweredNet

__all__ = ["Exported", "export"]

PROBES = 32
"""Images whose embeddings are compared before a network is exported."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Exported(Report):
    """An exported file.

    Attributes:
        path: of the file, or of the folder if the format is one.
        target: its format.
        precision: of its numbers.
        input: "tensor" or "image".
        size_mb: its size, in 10^6 bytes.
        seconds: from loading the network to the finished file.
    """

    path: Path
    target: str
    precision: str
    input: str
    size_mb: float
    seconds: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The one row of the report."""
        return [
            {
                "target": self.target,
                "precision": self.precision,
                "input": self.input,
                "path": str(self.path),
                "size_mb": round(self.size_mb, 3),
                "seconds": round(self.seconds, 3),
            }
        ]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `--json`."""
        return {"rows": self.rows}


def export(
    target: str,
    *,
    model: Path | None = None,
    precision: str = "fp32",
    input: str = "tensor",
    data: str | None = None,
    system: str | None = None,
    out: Path,
) -> Exported:
    """Writes a query network as a file for a device runtime.

    Args:
        target: the name of a registered target, such as "tflite".
        model: folder of a query network; the starter kit's if None.
        precision: one of the target's precisions.
        input: "tensor" or "image"; see `Metadata`.
        data: real images for the precisions that need calibration; the network's training data if
            None.
        system: the oldest system that must run the file, such as "iOS16", for targets with such a
            choice; the oldest possible one if None.
        out: a file with the target's suffix, or a folder for query-<precision><suffix>.

    Raises:
        UserError: an unknown target, precision, input or system, no calibration images, a missing
            package, an unusable `out`, or a full disk; no incomplete file is left.
    """
    chosen = registry.target(target)
    if precision not in chosen.precisions:
        raise unknown_choice(f"precision for {target}", precision, chosen.precisions)
    if input not in chosen.inputs:
        raise unknown_choice(f"input for {target}", input, chosen.inputs)
    _check_system(chosen, system)
    _check_packages(chosen)
    with disk_errors(Path(out)):
        path = _destination(chosen, precision, Path(out))
        with suppress(FileNotFoundError):
            path.lstat()  # fails for a name that no file can have
        check_writable_folder(path.parent)
    start = time.perf_counter()

    from edgecmp import kit
    from edgecmp.artefacts.bundle import QueryBundle
    from edgecmp.export.prepare import prepare

    bundle = QueryBundle.load(model if model is not None else kit.path("query"))
    network = prepare(bundle, chosen, precision, input=input)
    metadata, images = _metadata(bundle, target, precision, input), None
    if system is not None:
        metadata = metadata.model_copy(update={"options": {"system": system}})
    if precision in chosen.calibrated:
        images, calibration = calibration_images(bundle, data)
        check_variety(images, str(calibration["data"]))
        metadata = metadata.model_copy(update={"calibration": calibration})
    _check_outputs(network, bundle, images)
    _write(chosen, Job(network=network, metadata=metadata, images=images), path)
    exported = Exported(
        path=path,
        target=target,
        precision=precision,
        input=input,
        size_mb=_size(path) / 1e6,
        seconds=time.perf_counter() - start,
    )
    say(
        f"exported {target} {precision} in {duration(exported.seconds)}: "
        f"{path} ({exported.size_mb:.2f} MB)"
    )
    return exported


def _check_outputs(
    network: LoweredNet, bundle: QueryBundle, images: NDArray[np.uint8] | None
) -> None:
    """Says so if the network embeds different images alike: the file would find nothing.

    Args:
        network: lowered.
        bundle: the network as it was trained.
        images: calibration images, if there are any; else test pictures are drawn.

    Raises:
        UserError: a value of the network is not finite; its layer is named.
    """
    if images is None or len(images) < PROBES:
        images = probe_images(*bundle.preprocessing.size)
    (inputs,) = batches(network, images[:PROBES], bundle.preprocessing)
    finite = NonFinite()
    finite.start_batch(len(inputs))
    value = inputs
    for node, value in network.each(inputs):
        finite.look(node.name, value)
    finite.check()
    warn_if_collapsed(value.numpy(), bundle.name)


def _check_system(target: Target, system: str | None) -> None:
    """Refuses a system that the target does not have, or any system if it has no choice."""
    if system is None or system in target.systems:
        return
    if not target.systems:
        names = [other.name for other in registry.targets().values() if other.systems]
        raise UserError(
            f"--system does not apply to {target.name}: its files run on any system.",
            f"Leave it out; it is for {', '.join(names)}.",
        )
    raise unknown_choice(f"system for {target.name}", system, target.systems)


def _check_packages(target: Target) -> None:
    """Refuses a target whose packages are not installed, naming the command that installs them."""
    if target.missing:
        raise UserError(
            f"Exporting to {target.name} needs packages that are not installed: "
            f"{', '.join(target.missing)}.",
            how_to_install(*target.missing),
        )


def _destination(target: Target, precision: str, out: Path) -> Path:
    """The file that `out` names."""
    if out.suffix == target.suffix:
        if out.is_dir() and any(out.iterdir()) and not (out / "Manifest.json").is_file():
            raise UserError(
                f"{out} is a folder with other files, not a package to replace.",
                "Name another --out.",
            )
        return out
    if out.is_dir() or not out.suffix:
        return out / f"query-{precision}{target.suffix}"
    raise UserError(
        f"{out} ends with {out.suffix!r}, but {target.name} files end with {target.suffix!r}.",
        f"Name a file such as {out.with_suffix(target.suffix)}, or a folder.",
    )


def _metadata(bundle: QueryBundle, target: str, precision: str, input: str) -> Metadata:
    """The document to store in the file."""
    return Metadata(
        target=target,
        precision=precision,
        input=input,  # type: ignore[arg-type]  # one of INPUTS
        architecture=bundle.architecture.to_dict(),
        preprocessing=bundle.preprocessing.to_dict(),
        preprocessing_fingerprint=bundle.preprocessing.fingerprint,
        gallery_sha256=bundle.manifest.gallery_sha256,
        weights_sha256=bundle.sha256,
        protocol_name=bundle.protocol_name,
        provenance=provenance(),
    )


def _write(target: Target, job: Job, path: Path) -> None:
    """Writes the file or package beside `path`, then puts it into the place of `path` in one step.

    After an error, `path` is as it was.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent, path.name) as folder:
            made = folder / f"new{target.suffix}"
            try:
                target.write(job, made)
            except UserError as error:
                what = error.what.replace(str(made), str(path))
                raise UserError(what, error.way_out) from error
            if made.is_dir():
                with replacing_folder(path) as new:
                    for part in made.iterdir():
                        part.rename(new / part.name)
            else:
                write_atomic(path, made.read_bytes())


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
