"""Inspecting a model file: its tensors, operators, weights by type, and edgecmp metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from edgecmp import integrity
from edgecmp.export.contents import Content, read_contents
from edgecmp.export.formats.registry import targets
from edgecmp.export.metadata import Metadata
from edgecmp.export.runtimes.open import identify, read_metadata
from edgecmp.files import sha256_file
from edgecmp.gallery.index_manifest import IndexManifest
from edgecmp.gallery.open import open_described
from edgecmp.inspection import (
    Check,
    Inspection,
    architecture_facts,
    gallery_check,
    made_by,
    size_facts,
)

__all__ = ["inspect_description", "inspect_export"]


def inspect_export(path: Path, index: Path | None = None) -> Inspection:
    """Inspects a .tflite, .onnx or .mlpackage, whether edgecmp exported it or not.

    Args:
        path: of the file or package.
        index: folder of a gallery index that the network should be able to search.

    Raises:
        UserError: it is missing, was changed since edgecmp wrote it, is truncated, or a package
            that reads its format is not installed.
    """
    target = identify(path).name
    whole = integrity.verify(path)
    content = read_contents(path, whole=whole)
    facts: dict[str, Any] = {"size": size_facts(path)}
    if path.is_file():
        facts["file_sha256"] = sha256_file(path)
    facts |= content.facts()
    if not content.has_metadata:
        return _inspect_external(path, target, content, facts)
    metadata = read_metadata(path)
    return Inspection(
        path=str(path),
        what=f"query network exported to {target} {metadata.precision}",
        facts=facts | _metadata_facts(metadata),
        checks=_checks(path, metadata, index),
    )


def _inspect_external(
    path: Path, target: str, content: Content, facts: dict[str, Any]
) -> Inspection:
    """A file that edgecmp did not export, whose weights may be stored in other files."""
    checks: tuple[Check, ...] = ()
    if content.weight_files:
        missing = [name for name in content.weight_files if not (path.parent / name).is_file()]
        verdict: Literal["ok", "failed"] = "failed" if missing else "ok"
        detail = ", ".join(missing)
        checks = (Check(name="weight files are beside it", verdict=verdict, detail=detail),)
    what = f"{target} model, no edgecmp metadata"
    return Inspection(path=str(path), what=what, facts=facts, checks=checks)


def inspect_description(path: Path, index: Path | None = None) -> Inspection:
    """Inspects a .toml file that describes an external ONNX file.

    Args:
        path: of the description.
        index: folder of a gallery index that the network should be able to search.

    Raises:
        UserError: it does not describe such a file, or the file cannot be used.
    """
    model = open_described(path)
    content = read_contents(model.file.path, whole=False)
    checks: tuple[Check, ...] = ()
    if model.gallery_sha256 is not None:
        checks = gallery_check(model.gallery_sha256, index)
    elif index is not None:  # a gallery model, or a query network that does not name its own
        made = IndexManifest.load(index).gallery_sha256 == model.sha256
        checks = gallery_check(model.sha256 if made else None, index, makes=made)
    return Inspection(
        path=str(path),
        what="description of an ONNX model",
        facts={
            "file": str(model.file.path),
            "size": size_facts(model.file.path),
            "sha256": model.sha256,
            **content.facts(),
            "embedding": f"{model.embedding_dim} values",
            "preprocessing": model.preprocessing.to_dict(),
            "gallery_sha256": model.gallery_sha256,
        },
        checks=checks,
    )


def _metadata_facts(metadata: Metadata) -> dict[str, Any]:
    return {
        "precision": metadata.precision,
        "reads": {
            "tensor": "normalised float32 values",
            "image": "8-bit RGB pixels, normalised inside",
        }[metadata.input],
        "options": metadata.options,
        "calibration": metadata.calibration,
        **architecture_facts(metadata.build_architecture()),
        "preprocessing": metadata.preprocessing,
        "weights_sha256": metadata.weights_sha256,
        "gallery_sha256": metadata.gallery_sha256,
        "protocol": metadata.protocol_name,
        **made_by(metadata.provenance),
    }


def _checks(path: Path, metadata: Metadata, index: Path | None) -> tuple[Check, ...]:
    checks = [
        Check(name="every byte is as it was written", verdict="ok"),
    ]
    target = targets()[metadata.target]
    known = metadata.precision in target.precisions
    checks.append(
        Check(
            name="precision is known to this version",
            verdict="ok" if known else "failed",
            detail="" if known else f"it supports {', '.join(target.precisions)}",
        )
    )
    return (*checks, *gallery_check(metadata.gallery_sha256, index))
