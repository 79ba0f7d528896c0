"""Exporting: from a trained query network to a file for a device runtime."""

from __future__ import annotations

import errno
import importlib.util
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecmp.errors import UserError, unknown_choice
from edgecmp.export.formats import registry
from edgecmp.export.formats.registry import Job
from edgecmp.export.install import how_to_install
from edgecmp.export.metadata import Metadata
from edgecmp.export.quantisation.calibration import calibration_images
from edgecmp.files import provenance
from edgecmp.progress import duration, say

if TYPE_CHECKING:
    from edgecmp.artefacts.bundle import QueryBundle
    from edgecmp.export.install import how_to_install
from edgecmp.export.formats.registry import Target
from edgecmp.report import Report

__all__ = ["Exported", "export"]


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
    path = _destination(chosen, precision, Path(out))
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
        metadata = metadata.model_copy(update={"calibration": calibration})
    with _replacing(path) as temporary:
        chosen.write(Job(network=network, metadata=metadata, images=images), temporary)
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
    missing = [name for name in target.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"Exporting to {target.name} needs packages that are not installed: "
            f"{', '.join(missing)}.",
            how_to_install(*missing),
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
        provenance=provenance(),
    )


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what is written there replaces `path`, file or folder.

    After an error, `path` is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            if path.is_dir():
                path.rename(Path(folder) / "before")
            temporary.replace(path)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        way_out = "Name a path that you can write to."
        if error.errno == errno.ENOSPC:
            way_out = "Free some space or name another --out, then run the same command again."
        raise UserError(f"{path} cannot be written: {reason}.", way_out) from error


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
