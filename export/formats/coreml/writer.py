"""Core ML: an ML Program package for iOS 15 and later, by torch's tracer and coremltools.

Input `image`: (1, 3, S, S) float32, already normalised, or an RGB image of S x S pixels that the
package normalises itself. Output `embedding`: (1, D) float32 of unit length, in every precision.
The same network has the same bytes: the random ids and dates of coremltools are replaced.
"""

from __future__ import annotations

import json
import re
import tempfile
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgecmp.errors import UserError
from edgecmp.export.formats.coreml.contents import coreml_contents
from edgecmp.export.formats.coreml.package import model_path, read_manifest, read_model
from edgecmp.export.formats.coreml.systems import SYSTEMS, choose_system
from edgecmp.export.formats.coreml.weights import COMPRESSIONS, compress
from edgecmp.export.formats.registry import Job, register_target
from edgecmp.export.guarded_open import no_metadata
from edgecmp.export.lowering import LoweredNet
from edgecmp.export.quantisation.fp16_safety import check_fp16
from edgecmp.export.runtimes.mil.program import MilProgram
from edgecmp.integrity import KEY
from edgecmp.progress import say
from edgecmp.quiet import quiet_coremltools
from edgecmp.storage import temporary_folder

__all__ = ["read_coreml", "write_coreml"]

PASSES = frozenset(
    {
        "add_fp16_cast",
        "cast_optimization",
        "const_deduplication",
        "const_elimination",
        "dead_code_elimination",
        "noop_elimination",
        "remove_redundant_ops",
        "topological_reorder",
    }
)
"""The passes of coremltools that change anything in a lowered network.

The other passes look for patterns that lowered networks do not contain, and coremltools validates
the whole program after each pass.
"""

NOT_WRITTEN = re.compile("FileWriter|filesystem error")
"""In the messages of coremltools' compiled code when it cannot write."""

CONVERSION_DATE = "com.github.apple.coremltools.conversion_date"
MANIFEST_IDS = uuid.UUID("5a0f6d1e-3b0c-5b56-9d4e-edcecaedce01")
"""Namespace of the package's item ids, which are random in coremltools."""


def read_coreml(package: Path) -> bytes:
    """The metadata document of a package that edgecmp exported; see `Target.read`."""
    metadata = MilProgram(package).metadata
    if KEY not in metadata:
        raise no_metadata(package, "coreml")
    return metadata[KEY].encode()


@register_target(
    "coreml",
    suffix=".mlpackage",
    precisions=("fp32", "fp16", *COMPRESSIONS),
    calibrated=("fp16", *COMPRESSIONS),
    inputs=("tensor", "image"),
    systems=SYSTEMS,
    packages=("coremltools",),
    # these rewrites are faster in XNNPACK; Apple's kernels were never measured
    without=("narrow_concat", "split_depthwise"),
    read=read_coreml,
)
def write_coreml(job: Job, path: Path) -> None:
    """Converts the lowered network and writes the package; see `Target.write`."""
    metadata = job.metadata
    system = choose_system(metadata.precision, metadata.options.get("system"))
    options = {**metadata.options, "system": system}
    kept: tuple[str, ...] | None = None
    if metadata.precision != "fp32":
        kept = _keep_float32(job)
        options["float32_layers"] = ",".join(kept)
    metadata = metadata.model_copy(update={"options": options})
    with _coremltools_writes(path):
        with torch.inference_mode(), quiet_coremltools():
            model = _convert(job, system, kept)
            if metadata.precision in COMPRESSIONS:
                model = compress(model, metadata.precision)
            model.author = "edgecmp"
            model.short_description = "Query network for visual search"
            model.user_defined_metadata.pop(CONVERSION_DATE, None)
            model.user_defined_metadata[KEY] = metadata.write().decode()
            model.save(str(path))
        _make_reproducible(path)
        coreml_contents(path)  # refuses weights that compiled code did not write to the end


@contextmanager
def _coremltools_writes(path: Path) -> Iterator[None]:
    """Has coremltools put its temporary packages beside `path`, where there must be space anyway.

    It would fail if the system's own folder for temporary files were full, and leave its packages
    there until the process ends.

    Raises:
        UserError: there is no space left; compiled code raises a RuntimeError.
    """
    before = tempfile.tempdir
    with temporary_folder(path.parent, path.name) as folder:
        tempfile.tempdir = str(folder)
        try:
            yield
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # their temporary files end before `folder`
            if not isinstance(error, RuntimeError) or not NOT_WRITTEN.search(str(error)):
                raise
            raise UserError(
                f"{path} was not written: coremltools could not store it, as on a full disk.",
                "Free some space or name another --out, then run the command again.",
            ) from error
        finally:
            tempfile.tempdir = before


def _keep_float32(job: Job) -> tuple[str, ...]:
    """Names of the nodes that float16 would make inaccurate; they are reported to the user."""
    if job.images is None or len(job.images) == 0:
        raise UserError(
            f"The precision {job.metadata.precision} needs at least one calibration image.",
            "Name images with --data, or export with --precision fp32.",
        )
    safety = check_fp16(job.network, job.images, job.metadata.build_preprocessing())
    names = ", ".join(safety.kept) or "nothing"
    say(
        f"kept in float32: {names} (simulated min cosine {safety.min_cosine:.6f}, with all in "
        f"float16 {safety.min_cosine_unsafe:.6f})"
    )
    return safety.kept


def _convert(job: Job, system: str, kept: tuple[str, ...] | None) -> Any:
    """The network as a coremltools model.

    Args:
        job: what is exported.
        system: the oldest iOS that must run it.
        kept: nodes to compute in float32, the others in float16; None: all in float32.
    """
    import coremltools

    network = job.network
    example = torch.zeros(1, 3, network.input_size, network.input_size)
    reads = coremltools.TensorType(name="image", shape=tuple(example.shape), dtype=np.float32)
    if job.metadata.input == "image":
        reads = coremltools.ImageType(
            name="image",
            shape=tuple(example.shape),
            color_layout=coremltools.colorlayout.RGB,
            scale=1.0,  # the graph reads pixels in 0..255
            bias=[0.0, 0.0, 0.0],
        )
    traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    return coremltools.convert(
        traced,
        inputs=[reads],
        outputs=[coremltools.TensorType(name="embedding", dtype=np.float32)],
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target[system],
        compute_precision=_precision(network, kept),
        skip_model_load=True,
        pass_pipeline=_pipeline(),
    )


def _pipeline() -> Any:
    """The default passes of coremltools in their order, without those that change nothing."""
    import coremltools

    pipeline = coremltools.PassPipeline.DEFAULT
    unused = {name for name in pipeline.passes if name.partition("::")[2] not in PASSES}
    pipeline.remove_passes(unused)
    return pipeline


def _precision(network: LoweredNet, kept: tuple[str, ...] | None) -> Any:
    """The setting that tells coremltools which operations to compute in float16.

    An operation records the torch module it came from: `layers.<index of the node in the graph>`.
    """
    import coremltools
    from coremltools.converters.mil.mil.scope import ScopeSource

    if kept is None:
        return coremltools.precision.FLOAT32
    indices = {str(index) for index, node in enumerate(network.graph) if node.name in kept}

    def in_float16(operation: Any) -> bool:
        scopes = operation.scopes.get(ScopeSource.TORCHSCRIPT_MODULE_NAME) or [""]
        return scopes[0] not in indices

    return coremltools.transform.FP16ComputePrecision(op_selector=in_float16)


def _make_reproducible(package: Path) -> None:
    """Sorts the program's maps and replaces the random ids of the manifest."""
    model = read_model(package)
    model_path(package).write_bytes(model.SerializeToString(deterministic=True))
    manifest = read_manifest(package)
    ids = {
        old: str(uuid.uuid5(MANIFEST_IDS, item["path"]))
        for old, item in manifest["itemInfoEntries"].items()
    }
    manifest["itemInfoEntries"] = {
        ids[old]: item
        for old, item in sorted(
            manifest["itemInfoEntries"].items(), key=lambda entry: str(entry[1]["path"])
        )
    }
    manifest["rootModelIdentifier"] = ids[manifest["rootModelIdentifier"]]
    (package / "Manifest.json").write_text(json.dumps(manifest, indent=4) + "\n")
