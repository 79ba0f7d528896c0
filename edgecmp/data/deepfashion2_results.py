"""The ranking of each DeepFashion2 query, in the format that the official evaluation reads.

There is one entry per query: its image, box, category and score, then the images and boxes of the
20 most similar gallery items, most similar first. The boxes are those of the annotation, so no
query is missed, and the score, which ranks detections, is always 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgecmp.data.dataset import Retrieval
from edgecmp.data.deepfashion2 import Item
from edgecmp.data.image_set import Integers
from edgecmp.errors import UserError
from edgecmp.files import write_atomic

__all__ = ["RESULTS_K", "DeepFashion2Results"]

RESULTS_K = 20


class DeepFashion2Results:
    """The result document of one retrieval task.

    Args:
        task: a task of DeepFashion2, from its folder or from shards of it.

    Raises:
        UserError: the images belong to other data.
    """

    def __init__(self, task: Retrieval) -> None:
        self._queries, self._gallery = (
            [_item(key, images.name) for key in images.keys]
            for images in (task.queries, task.gallery)
        )

    def document(self, ranking: Integers) -> list[dict[str, Any]]:
        """The entries, one per query.

        Args:
            ranking: (Q, k) indices into the gallery, most similar first; k is `RESULTS_K`, or the
                size of a smaller gallery.
        """
        return [
            {
                "query_image_id": query.image_id,
                "query_bbox": list(query.box),
                "query_cls": query.category,
                "query_score": 1.0,
                "gallery_image_id": [self._gallery[place].image_id for place in places],
                "gallery_bbox": [list(self._gallery[place].box) for place in places],
            }
            for query, places in zip(self._queries, ranking.tolist(), strict=True)
        ]

    def write(self, ranking: Integers, path: str | Path) -> Path:
        """Writes the document as JSON."""
        return write_atomic(path, json.dumps(self.document(ranking)).encode())


def _item(key: str, name: str) -> Item:
    item = Item.of(key)
    if item is None:
        raise UserError(
            f"{name} is not DeepFashion2, and --results writes a file for its official evaluation.",
            "Omit --results, or name the DeepFashion2 folder with --data.",
        )
    return item
