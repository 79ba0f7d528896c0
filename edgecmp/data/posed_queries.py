"""posed_queries: how many queries each identity poses, before any image is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edgecmp.data.image_files import ImageRecord

__all__ = ["posed_queries"]


def posed_queries(records: Sequence[ImageRecord], gallery_domain: str | None) -> dict[str, int]:
    """The number of queries of each identity if it is in the hold-out or in the test.

    These are the images that a gallery image of their identity matches, as in `Dataset.retrieval`;
    if no two images show the same identity, an altered copy of each.

    Args:
        records: all images, sorted by key.
        gallery_domain: the domain whose images form the gallery; None: each identity's first image.
    """
    identities = dict.fromkeys(sorted({record.identity for record in records}), 0)
    if gallery_domain is None and len(identities) == len(records):
        return dict.fromkeys(identities, 1)
    in_gallery: list[bool] = []
    seen: set[str] = set()
    for record in records:
        first = record.identity not in seen
        seen.add(record.identity)
        in_gallery.append(first if gallery_domain is None else record.domain == gallery_domain)
    stored = [record for record, yes in zip(records, in_gallery, strict=True) if yes]
    matches = Counter(record.identity for record in stored)
    own = Counter((record.identity, record.camera) for record in stored if record.camera)
    for record, yes in zip(records, in_gallery, strict=True):
        if not yes and matches[record.identity] > own[record.identity, record.camera]:
            identities[record.identity] += 1
    return identities
