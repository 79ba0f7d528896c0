"""What an artefact is and what it was made from: the folders and JSON files of the core.

`edgecmp.export.inspect` and `edgecmp.search.results.inspect` do the same for theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from edgecmp import kit
from edgecmp.artefacts.bundle import (
    WEIGHTS,
    GalleryBundle,
    Manifest,
    QueryBundle,
    SupernetBundle,
)
from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.data.shards import check_shards, read_index
from edgecmp.errors import UserError
from edgecmp.files import read_json, read_tensors, sha256_tensors
from edgecmp.gallery.index import GalleryIndex, IndexManifest
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.form import Form, form_from_dict, load_form

__all__ = [
    "Check",
    "Inspection",
    "architecture_facts",
    "gallery_check",
    "inspect_architecture",
    "inspect_bundle",
    "inspect_index",
    "inspect_latency_table",
    "inspect_shards",
    "made_by",
    "size_facts",
    "weight_facts",
]

LOADERS: dict[str, Callable[[Path], object]] = {
    "gallery": GalleryBundle.load,
    "supernet": SupernetBundle.load,
    "query": QueryBundle.load,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Something that must hold: "ok", "failed", or "unknown" where it cannot be told."""

    name: str
    verdict: Literal["ok", "failed", "unknown"]
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """One artefact.

    Attributes:
        path: as the user gave it.
        what: in words.
        facts: by name, in the order to show them; hashes in full.
        checks: what must hold.
    """

    path: str
    what: str
    facts: Mapping[str, Any]
    checks: tuple[Check, ...] = field(default=())

    @property
    def sound(self) -> bool:
        """Whether no check failed."""
        return all(check.verdict != "failed" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"sound": self.sound, **asdict(self)}


def size_facts(path: Path) -> dict[str, int]:
    """Bytes and number of files of a file or folder."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return {"bytes": sum(file.stat().st_size for file in files), "files": len(files)}


def weight_facts(counts: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
    """Weights by type, the largest share first; `counts` has (how many values, how many bytes)."""
    return {
        kind: {"values": values, "bytes": size}
        for kind, (values, size) in sorted(counts.items(), key=lambda entry: -entry[1][1])
    }


TOLD = ("format", "tier", "name", "input_size", "embedding_dim")
"""Fields of an architecture that its first line tells."""


def architecture_facts(architecture: Form) -> dict[str, Any]:
    """What an architecture of any form is: a line about it, then the fields of its own."""
    kind = "tier " if isinstance(architecture, Architecture) else ""
    own = {name: value for name, value in architecture.to_dict().items() if name not in TOLD}
    return {
        "architecture": f"{kind}{architecture.label}, input {architecture.input_size} pixels, "
        f"embedding {architecture.embedding_dim} values",
        **{k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in own.items()},
        "architecture_sha256": architecture.fingerprint,
    }


def gallery_check(
    gallery_sha256: str | None, index: Path | None, *, makes: bool = False
) -> tuple[Check, ...]:
    """Whether a network can search an index, or (`makes`) whether a gallery model made it.

    Args:
        gallery_sha256: the gallery model that is meant.
        index: the index; the starter kit's if None, for which a mismatch is no failure.
        makes: the network is the gallery model itself.
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
        f"that one was made by gallery model {manifest.gallery_sha256[:12]}, "
        f"this one {'is' if makes else 'is compatible with'} {gallery_sha256[:12]}"
    )
    if index is None:
        detail += "; name yours with --index"
    return (Check(name=f"{verb} {name}", verdict="failed" if index else "unknown", detail=detail),)


def inspect_bundle(folder: Path, index: Path | None = None) -> Inspection:
    """A gallery model, supernet or query network.

    Raises:
        UserError: its manifest cannot be read.
    """
    manifest = Manifest.load(folder)
    noun = {"gallery": "gallery model", "supernet": "supernet", "query": "query network"}
    facts: dict[str, Any] = {"size": size_facts(folder)}
    checks: tuple[Check, ...] = ()
    try:
        tensors = read_tensors(folder / WEIGHTS, what=f"the weights of a {manifest.kind} model")
    except UserError as error:
        checks += (Check(name="weights are whole", verdict="failed", detail=error.what),)
    else:
        facts["weights"] = weight_facts(_by_type(tensors))
        checks += (Check(name="weights are whole", verdict="ok"), _weights_check(tensors, manifest))
    if manifest.kind == "query":
        try:
            facts |= architecture_facts(load_form(folder))
        except UserError as error:
            checks += (
                Check(name="architecture.json is whole", verdict="failed", detail=str(error)),
            )
    else:
        facts["network"] = manifest.network
    if all(check.verdict == "ok" for check in checks):
        checks += (_load_check(folder, manifest),)
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
    """A gallery index.

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
    """A data set in shards; every byte is read.

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
        "data": {"name": index.name, "fingerprint": index.source_fingerprint},
        "sha256": index.fingerprint,
        **made_by(index.provenance),
    }
    name = "files are those that the index names"
    try:
        check_shards(folder)
    except UserError as error:
        check = Check(name=name, verdict="failed", detail=error.what)
    else:
        check = Check(name=name, verdict="ok")
    return Inspection(path=str(folder), what="images in shards", facts=facts, checks=(check,))


def inspect_architecture(file: Path) -> Inspection:
    """An architecture.json.

    Raises:
        UserError: it is none.
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
        detail=f"the manifest says {manifest.weights_sha256[:12]}, the file is {found[:12]}",
    )


def _load_check(folder: Path, manifest: Manifest) -> Check:
    name = "weights fit the network"
    try:
        LOADERS[manifest.kind](folder)
    except UserError as error:
        return Check(name=name, verdict="failed", detail=error.what)
    return Check(name=name, verdict="ok")


def made_by(provenance: Mapping[str, str]) -> dict[str, Any]:
    """Versions and command of an artefact."""
    versions = {name: value for name, value in provenance.items() if name != "command"}
    return {"versions": versions, "command": provenance.get("command")}


def inspect_latency_table(path: Path, lowering: str) -> Inspection:
    """A latency table.

    Args:
        path: the .json file.
        lowering: hash of what networks are lowered to today.

    Raises:
        UserError: it is none, or damaged.
    """
    table = LatencyTable.load(path)
    current = Check(name="today's files are lowered alike", verdict="ok")
    if table.lowering != lowering:
        current = replace(current, verdict="failed", detail="build it again")
    checked = Check(name="compared with whole networks", verdict="ok")
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
