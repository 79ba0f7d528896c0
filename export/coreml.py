"""Core ML: an ML Program package for iOS 15 and later, by torch's tracer and coremltools.

Input `image` (1, 3, S, S) float32, already normalised; output `embedding` (1, D) float32 of unit
length. The same network gives the same bytes: what coremltools draws or dates is replaced.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import torch

from edgecmp.errors import UserError
from edgecmp.export.metadata import KEY
from edgecmp.export.mil import MilProgram
from edgecmp.export.quiet import quiet_coremltools
from edgecmp.export.registry import Job, register_target

__all__ = ["read_coreml", "write_coreml"]

MINIMUM_SYSTEM = "iOS15"
"""The first system that runs ML Programs (macOS 12 is its counterpart)."""

CONVERSION_DATE = "com.github.apple.coremltools.conversion_date"
MANIFEST_IDS = uuid.UUID("5a0f6d1e-3b0c-5b56-9d4e-edcecaedce01")
"""Namespace of the package's item ids, which coremltools draws at random."""


def read_coreml(package: Path) -> bytes:
    """The metadata document of a package of ours; see `Target.read`."""
    metadata = MilProgram(package).metadata
    if KEY not in metadata:
        raise UserError(
            f"{package} holds no edgecmp metadata: it was not written by `edgecmp export`.",
            "Write one with `edgecmp export --target coreml`.",
        )
    return metadata[KEY].encode()


@register_target(
    "coreml",
    suffix=".mlpackage",
    precisions=("fp32", "fp16"),
    inputs=("tensor",),
    packages=("coremltools",),
    # these pay where XNNPACK runs; Apple's kernels were never measured
    without=("split_depthwise",),
    read=read_coreml,
)
def write_coreml(job: Job, path: Path) -> None:
    """Converts the lowered network and writes the package; see `Target.write`."""
    network, metadata = job.network, job.metadata
    example = torch.zeros(1, 3, network.input_size, network.input_size)
    with torch.inference_mode(), quiet_coremltools():
        import coremltools

        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        model = coremltools.convert(
            traced,
            inputs=[coremltools.TensorType(name="image", shape=tuple(example.shape))],
            outputs=[coremltools.TensorType(name="embedding")],
            convert_to="mlprogram",
            minimum_deployment_target=coremltools.target[MINIMUM_SYSTEM],
            compute_precision=_precision(metadata.precision),
            skip_model_load=True,
        )
        model.author = "edgecmp"
        model.short_description = "Query network for visual search"
        del model.user_defined_metadata[CONVERSION_DATE]
        model.user_defined_metadata[KEY] = metadata.write().decode()
        model.save(str(path))
    _make_reproducible(path)


def _precision(name: str) -> Any:
    from coremltools import precision

    return {"fp32": precision.FLOAT32, "fp16": precision.FLOAT16}[name]


def _make_reproducible(package: Path) -> None:
    """Orders the program's maps and replaces the random ids of the manifest."""
    from coremltools.proto import Model_pb2

    manifest_path = package / "Manifest.json"
    manifest = json.loads(manifest_path.read_bytes())
    root = manifest["rootModelIdentifier"]
    model_path = package / "Data" / manifest["itemInfoEntries"][root]["path"]
    spec = Model_pb2.Model.FromString(model_path.read_bytes())
    model_path.write_bytes(spec.SerializeToString(deterministic=True))
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
    manifest["rootModelIdentifier"] = ids[root]
    manifest_path.write_text(json.dumps(manifest, indent=4) + "\n")
