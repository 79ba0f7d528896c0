"""What a table of embeddings contains, which stands for a gallery model without its network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecmp.gallery.embedding_table import EmbeddingTable, TableDescription
from edgecmp.gallery.index_manifest import IndexManifest
from edgecmp.inspection.core import gallery_check
from edgecmp.inspection.inspection import Check, Inspection, size_facts

__all__ = ["inspect_table"]


def inspect_table(path: Path, index: Path | None = None) -> Inspection:
    """Inspects a .toml file that describes a table of embeddings; reads the complete table.

    Args:
        path: of the description.
        index: folder of a gallery index that should be of the same gallery model.

    Raises:
        UserError: a file cannot be read, or the table has no usable embedding for some key.
    """
    described = TableDescription.load(path)
    table = EmbeddingTable.load(path)
    checks: tuple[Check, ...] = (Check(name="each image has a usable embedding", verdict="ok"),)
    if index is not None:
        same = IndexManifest.load(index).gallery_sha256 == table.sha256
        checks += gallery_check(table.sha256 if same else None, index, makes=True)
    images, values = table.embeddings.shape
    facts: dict[str, Any] = {
        "file": str(described.table),
        "size": size_facts(described.table),
        "images": images,
        "embedding": f"{values} values",
        "first image": next(iter(table.rows)),
        "model": described.model or "not named",
        "sha256": table.sha256,
    }
    return Inspection(path=str(path), what="table of embeddings", facts=facts, checks=checks)
