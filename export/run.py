"""The verb: a trained query network in, a file for a device out."""

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
from edgecmp.export.metadata import Metadata
from edgecmp.export.quantisation.calibration import calibration_images
from edgecmp.export.targets import registry
from edgecmp.export.targets.registry import Job
from edgecmp.files import provenance
from edgecmp.progress import duration, say

if TYPE_CHECKING:
    from edgecmp.artefacts.bundle import QueryBundle
    from edgecmp.export.targets.registry import Target

__all__ = ["Exported", "export"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: of the file, or of the folder where the format is one.
        size_mb: of the file, in 10^6 bytes.
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
        """One row, for tables."""
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
        """What --json writes."""
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
    """Writes a query network for a device runtime.

    Args:
        target: a name in the table of targets, such as "tflite".
        model: folder of a query network; the starter kit's if None.
        precision: one of the target's precisions.
        input: "tensor" or "image"; see `Metadata`.
        data: real images for the precisions that are calibrated; the training data of the network
            if None.
        system: the oldest system that must run the file, such as "iOS16", for targets that have a
            choice; the oldest one that can if None.
        out: a file with the target's suffix, or a folder that gets query-<precision><suffix>.

    Raises:
        UserError: an unknown target, precision, input or system, no calibration images, a missing
            package, an unusable `out`, a full disk; nothing half-written is left.
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
    """Refuses a system that the target does not have, or a target that has none to choose."""
    if system is None or system in target.systems:
        return
    if not target.systems:
        having = [other.name for other in registry.targets().values() if other.systems]
        raise UserError(
            f"--system says nothing to {target.name}: its files run on any system.",
            f"Leave it out; it is for {', '.join(having)}.",
        )
    raise unknown_choice(f"system for {target.name}", system, target.systems)


def _check_packages(target: Target) -> None:
    """Refuses a target whose converter is not installed, and says how to install it."""
    missing = [name for name in target.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"Exporting to {target.name} needs packages that are not installed: "
            f"{', '.join(missing)}.",
            "Install them with `pip install 'edgecmp[export]'`.",
        )


def _destination(target: Target, precision: str, out: Path) -> Path:
    """The file that is meant by --out."""
    if out.suffix == target.suffix:
        if out.is_dir() and any(out.iterdir()) and not (out / "Manifest.json").is_file():
            raise UserError(f"{out} is a folder of something else.", "Name another --out.")
        return out
    if out.is_dir() or not out.suffix:
        return out / f"query-{precision}{target.suffix}"
    raise UserError(
        f"{out} ends with {out.suffix!r}, but {target.name} files end with {target.suffix!r}.",
        f"Name a file such as {out.with_suffix(target.suffix)}, or a folder.",
    )


def _metadata(bundle: QueryBundle, target: str, precision: str, input: str) -> Metadata:
    """What the file will say about itself."""
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
    """A place beside `path` to write to; it replaces `path`, file or folder, when all went well."""
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
