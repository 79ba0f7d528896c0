"""Exporting query networks, and proving the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.export.doctor import DoctorReport
    from edgecmp.export.parity.report import ParityReport
    from edgecmp.export.run import Exported

__all__ = ["doctor", "export", "parity"]


def export(
    target: str,
    *,
    out: PathLike,
    model: PathLike | None = None,
    precision: str = "fp32",
    input: str = "tensor",
    data: str | None = None,
    system: str | None = None,
) -> Exported:
    """Writes a query network as a file for a device runtime.

    Args:
        target: a name of `list_targets`: "tflite", "onnx" or "coreml".
        out: a file with the target's suffix, or a folder for query-<precision><suffix>.
        model: folder of a query network; the starter kit's by default.
        precision: "fp32", "fp16", "int8-weights"; TFLite: "int8"; Core ML: "palette8", "palette6".
        input: "tensor" (normalised float32 values) or "image" (8-bit RGB pixels).
        data: images for calibration; the network's training data by default.
        system: Core ML: the oldest system that must run it, "iOS15" to "iOS18".

    Raises:
        UserError: an argument is unknown, a package is missing, the network is not finite, or `out`
            cannot be written.
    """
    from edgecmp.export.run import export as run

    return run(
        target,
        model=None if model is None else Path(model),
        precision=precision,
        input=input,
        data=data,
        system=system,
        out=Path(out),
    )


def parity(
    files: Sequence[PathLike] | PathLike,
    *,
    model: PathLike | None = None,
    index: PathLike | None = None,
    data: str = "emoji",
    device: str | None = None,
    limit: int | None = None,
    picture: PathLike | None = None,
    seed: int = 0,
) -> ParityReport:
    """Proves on real queries that exported files retrieve what the network retrieves.

    Args:
        files: exported files of one query network, or descriptions (.toml) of external ONNX files.
        model: that network; the starter kit's by default.
        index: folder of the server's gallery index; the starter kit's by default.
        data: as `load_data` takes it; its test split has the queries.
        device: a name of `list_devices`: the files run in its runtimes too.
        limit: number of queries, evenly spaced; all if None. The change of the top-10 accuracy then
            fails a file only if its whole interval is beyond the bound.
        picture: a .png for the cosines and the changes of rank.
        seed: of the bootstrap.

    Raises:
        UserError: none of the files can be opened, or file, network and index do not belong
            together. Of several files, one that cannot be opened is a failed row.
    """
    from contextlib import ExitStack

    from edgecmp.export.parity.run import parity as run

    with ExitStack() as stack:
        machine = None
        if device is not None:
            from edgecmp.benchmarks.devices import open_device

            machine = stack.enter_context(open_device(device))
        return run(
            [files] if isinstance(files, str | Path) else files,
            model=model,
            index=index,
            data=data,
            limit=limit,
            machine=machine,
            picture=picture,
            seed=seed,
        )


def doctor() -> DoctorReport:
    """Finds out what this machine can export and run, by doing it."""
    from edgecmp.export.doctor import doctor as run

    return run()
