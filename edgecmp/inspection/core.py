"""What an artefact is and what it was made from: bundles, indexes, shards, architectures, tables.

`edgecmp.export.inspect` and `edgecmp.search.results.inspect` inspect exported files and searches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgecmp import kit
from edgecmp.artefacts.bundle import WEIGHTS, GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.artefacts.manifest import Manifest
from edgecmp.data.shards import check_shards, read_index
from edgecmp.errors import UserError
from edgecmp.files import read_json, read_tensors, sha256_tensors
from edgecmp.gallery.index import GalleryIndex
from edgecmp.gallery.index_manifest import IndexManifest
from edgecmp.inspection.inspection import (
    Check,
    Inspection,
    made_by,
    size_facts,
    weight_facts,
)
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.form import Form, form_from_dict, load_form

__all__ = [
    "architecture_facts",
    "gallery_check",
    "inspect_architecture",
    "inspect_bundle",
    "inspect_index",
    "inspect_latency_table",
    "inspect_shards",
]

LOADERS: dict[str, Callable[[Path], object]] = {
    "gallery": GalleryBundle.load,
    "supernet": SupernetBundle.load,
    "query": QueryBundle.load,
}


SUMMARISED = ("format", "tier", "name", "input_size", "embedding_dim")
"""Fields of an architecture that its summary line contains."""


def architecture_facts(architecture: Form) -> dict[str, Any]:
    """Facts about an architecture of any form: a summary line, then its remaining fields."""
    kind = "tier " if isinstance(architecture, Architecture) else ""
    document = architecture.to_dict()
    rest = {name: value for name, value in document.items() if name not in SUMMARISED}
    return {
        "architecture": f"{kind}{architecture.label}, input {architecture.input_size} pixels, "
        f"embedding {architecture.embedding_dim} values",
        **{k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in rest.items()},
        "architecture_sha256": architecture.fingerprint,
    }


def gallery_check(
    gallery_sha256: str | None, index: Path | None, *, makes: bool = False
) -> tuple[Check, ...]:
    """Checks whether a network can search an index, or whether a gallery model made the index.

    Args:
        gallery_sha256: the gallery model, or the one that a query network is compatible with.
        index: the index; None for the starter kit's, for which a mismatch is not a failure.
        makes: whether the network is the gallery model itself.
    """
    place = index or kit.path("index")
    name = f"index {index}" if index else "the starter kit's index"
    manifest = IndexManifest.load(place)
    verb = "made" if makes else "can search"
    if gallery_sha256 is None:
        return (
            Check(name=f"{verb} {name}", verdict="unknown", detail="it names no gallery model"),
        )
    if gallery_sha256 == manifest.gallery_sha256:
        return (Check(name=f"{verb} {name}", verdict="ok"),)
    detail = (
        f"the index was made by gallery model {manifest.gallery_sha256[:12]}, "
        f"this network {'is' if makes else 'is compatible with'} {gallery_sha256[:12]}"
    )
    if index is None:
        detail += "; name your index with --index"
    return (Check(name=f"{verb} {name}", verdict="failed" if index else "unknown", detail=detail),)


def inspect_bundle(folder: Path, index: Path | None = None) -> Inspection:
    """Inspects a gallery model, supernet or query network.

    Raises:
        UserError: its manifest cannot be read.
    """
    manifest = Manifest.load(folder)  # what cannot be trusted is shown, with a failed check
    noun = {"gallery": "gallery model", "supernet": "supernet", "query": "query network"}
    facts: dict[str, Any] = {"size": size_facts(folder)}
    checks: tuple[Check, ...] = ()
    if manifest.content_sha256:
        checks += (_succeeds("manifest is as written", lambda: Manifest.load_whole(folder)),)
    name = "weights are complete"
    try:
        tensors = read_tensors(folder / WEIGHTS, what=f"the weights of a {manifest.kind} model")
    except UserError as error:
        checks += (Check(name=name, verdict="failed", detail=error.what),)
    else:
        facts["weights"] = weight_facts(_by_type(tensors))
        checks += (Check(name=name, verdict="ok"), _weights_check(tensors, manifest))
    if manifest.kind == "query":
        try:
            facts |= architecture_facts(load_form(folder))
        except UserError as error:
            checks += (
                Check(name="architecture.json is complete", verdict="failed", detail=str(error)),
            )
    else:
        facts["network"] = manifest.network
    if all(check.verdict == "ok" for check in checks):
        load = LOADERS[manifest.kind]
        checks += (_succeeds("weights fit the network", lambda: load(folder)),)
    facts |= {
        "sha256": manifest.weights_sha256,
        "preprocessing": manifest.preprocessing,
        "gallery_sha256": manifest.gallery_sha256,
        "data": manifest.data,
        "recipe": manifest.recipe,
        "metrics": manifest.metrics,
        **made_by(manifest.provenance),
    }
    gallery = manifest.kind == "gallery"
    named = manifest.weights_sha256 if gallery else manifest.gallery_sha256
    checks += gallery_check(named, index, makes=gallery)
    return Inspection(
        path=str(folder), what=f"{noun[manifest.kind]}, edgecmp bundle", facts=facts, checks=checks
    )


def inspect_index(folder: Path) -> Inspection:
    """Inspects a gallery index.

    Raises:
        UserError: its manifest cannot be read.
    """
    manifest = IndexManifest.load(folder)
    facts: dict[str, Any] = {"size": size_facts(folder)}
    name = "files are those that the manifest names"
    try:
        index = GalleryIndex.load(folder)
    except UserError as error:
        check = Check(name=name, verdict="failed", detail=error.what)
    else:
        check = Check(name=name, verdict="ok")
        images, values = index.embeddings.shape
        facts |= {
            "images": images,
            "identities": len(np.unique(index.identities)),
            "embedding": f"{values} values",
        }
    facts |= {
        "gallery_sha256": manifest.gallery_sha256,
        "preprocessing": manifest.preprocessing,
        "data": manifest.data,
        "sha256": manifest.embeddings_sha256,
        **made_by(manifest.provenance),
    }
    return Inspection(
        path=str(folder), what="gallery index, edgecmp index", facts=facts, checks=(check,)
    )


def inspect_shards(folder: Path) -> Inspection:
    """Inspects a data set in shards; reads every byte of it.

    Raises:
        UserError: its shards.json cannot be read.
    """
    index = read_index(folder)
    facts: dict[str, Any] = {"size": size_facts(folder), "shards": len(index.shards)}
    for split, images in index.images.items():
        facts[split] = f"{images:,} images of {index.identities[split]:,} identities"
    facts |= {
        "longest side": f"{index.longest_side} pixels" if index.longest_side else "as it was",
        "encoding": "lossless" if index.lossless else "JPEG",
        "gallery domain": index.gallery_domain or "none",
        "queries": index.queries_note,
        "data": {"name": index.name, "fingerprint": index.source_fingerprint},
        "sha256": index.fingerprint,
        **made_by(index.provenance),
    }
    check = _succeeds("files are those that the index names", lambda: check_shards(folder))
    return Inspection(path=str(folder), what="images in shards", facts=facts, checks=(check,))


def inspect_architecture(file: Path) -> Inspection:
    """Inspects an architecture.json.

    Raises:
        UserError: the file is not an architecture.
    """
    architecture = form_from_dict(read_json(file, what="an architecture"), source=str(file))
    parameters = sum(tensor.numel() for tensor in architecture.build().parameters())
    facts = {"size": size_facts(file), **architecture_facts(architecture), "parameters": parameters}
    return Inspection(path=str(file), what="architecture of a query network", facts=facts)


def _by_type(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for tensor in tensors.values():
        kind = str(tensor.dtype).removeprefix("torch.")
        values, size = counts.get(kind, (0, 0))
        counts[kind] = (values + tensor.numel(), size + tensor.numel() * tensor.element_size())
    return counts


def _weights_check(tensors: Mapping[str, torch.Tensor], manifest: Manifest) -> Check:
    name, found = "weights are those that the manifest names", sha256_tensors(tensors)
    if found == manifest.weights_sha256:
        return Check(name=name, verdict="ok")
    return Check(
        name=name,
        verdict="failed",
        detail=f"the manifest names {manifest.weights_sha256[:12]}, but the file has {found[:12]}",
    )


def _succeeds(name: str, action: Callable[[], object]) -> Check:
    """A check that is ok if the action raises no UserError."""
    try:
        action()
    except UserError as error:
        return Check(name=name, verdict="failed", detail=error.what)
    return Check(name=name, verdict="ok")


def inspect_latency_table(path: Path, lowering: str) -> Inspection:
    """Inspects a latency table.

    Args:
        path: the .json file.
        lowering: fingerprint of how this edgecmp lowers networks.

    Raises:
        UserError: the file is not a latency table, or is damaged.
    """
    table = LatencyTable.load(path)
    current = Check(name="lowered as by this edgecmp", verdict="ok")
    if table.lowering != lowering:
        current = replace(current, verdict="failed", detail="build it again")
    checked = Check(name="compared with complete networks", verdict="ok")
    if table.check is None:
        checked = replace(checked, verdict="unknown", detail=f"run edgecmp latency check {path}")
    named = ("tier", "input_size", "embedding_dim", "precision", "device", "runtime", "version")
    return Inspection(
        path=str(path),
        what="latency table",
        facts={
            "size": size_facts(path),
            **{name: getattr(table, name) for name in (*named, "delegate", "threads")},
            "machine": {name: table.facts.get(name) for name in ("cpu", "cores", "governor")},
            "statistic": table.statistic,
            "date": table.date,
            "entries": len(table.entries_ms),
            "scale": table.scale,
            "bias_ms": table.bias_ms,
            "check": table.check,
            "sha256": table.fingerprint,
            **made_by(table.provenance),
        },
        checks=(current, checked),
    )
