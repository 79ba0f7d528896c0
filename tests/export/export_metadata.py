"""Metadata of files that tests write without `edgecmp.export.export`."""

from __future__ import annotations

from typing import Literal

from edgecmp.artefacts.bundle import QueryBundle
from edgecmp.export import Metadata

__all__ = ["metadata_of"]


def metadata_of(
    bundle: QueryBundle,
    *,
    target: str,
    precision: str,
    input: Literal["tensor", "image"] = "tensor",
    options: dict[str, str] | None = None,
) -> Metadata:
    """The metadata of a file of this network."""
    return Metadata(
        target=target,
        precision=precision,
        input=input,
        options=options or {},
        architecture=bundle.architecture.to_dict(),
        preprocessing=bundle.preprocessing.to_dict(),
        preprocessing_fingerprint=bundle.preprocessing.fingerprint,
        gallery_sha256=None,
        weights_sha256=bundle.sha256,
        provenance={},
    )
