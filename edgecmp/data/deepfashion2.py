"""Reads DeepFashion2 as it is released: train|validation/{image,annos}/NNNNNN.{jpg,json}.

An item is what lies in one bounding box. Source and pair are of the image: a pair is a product as
shops and users show it. Items of one pair and one style above 0 are the same (and of one category,
where that is asked for); style 0 has no counterpart. By the official evaluation, which asks for no
category, queries are users' items with a style, the gallery is every item of every shop image.

Networks learn from train; a share of its pairs is held out for the search (supplement A.1), with
all their items: pairs and not identities, since two items of a pair may be on one photograph. The
test is the original validation portion, as the paper's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from edgecmp.data.image_files import ImageRecord
from edgecmp.data.split import VALIDATION_SHARE, split_identities
from edgecmp.documents import first_fault
from edgecmp.errors import UserError
from edgecmp.progress import progress, say

__all__ = ["Item", "is_deepfashion2", "read_deepfashion2"]

_PORTIONS = ("train", "validation")
_KEY = re.compile(r"\w+/image/(\d+)\.jpg#item(\d+),category(\d+),box(.+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One clothing item, named by the key of its image in a dataset.

    Args:
        image_id: number of the image, as the official files have it.
        item: its number in the annotation.
        category: 1..13.
        box: x1, y1, x2, y2 in pixels.
    """

    image_id: int
    item: int
    category: int
    box: tuple[float, float, float, float]

    def key(self, portion: str, stem: str) -> str:
        """The key of the item in the image `stem` of "train" or "validation"."""
        corners = ",".join(str(int(c)) if c == int(c) else repr(c) for c in self.box)
        return f"{portion}/image/{stem}.jpg#item{self.item},category{self.category},box{corners}"

    @classmethod
    def of(cls, key: str) -> Item | None:
        """The item that a key names; None if it is one of other data."""
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        x1, y1, x2, y2 = (float(corner) for corner in found[4].split(","))
        return cls(
            image_id=int(found[1]),
            item=int(found[2]),
            category=int(found[3]),
            box=(x1, y1, x2, y2),
        )


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    category_id: int = Field(ge=1, le=13)
    style: int = Field(ge=0)
    bounding_box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Annotation(BaseModel):
    """One JSON file as it is released: items are fields called item1, item2, ..."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: Literal["shop", "user"]
    pair_id: int
    items: dict[int, _Item]

    @model_validator(mode="before")
    @classmethod
    def _gather_items(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        numbered = {re.fullmatch(r"item(\d+)", name): item for name, item in document.items()}
        items = {int(found[1]): item for found, item in numbered.items() if found}
        return document | {"items": items}


def is_deepfashion2(path: Path) -> bool:
    """Whether the folder holds a portion with annotations."""
    return any((path / portion / "annos").is_dir() for portion in _PORTIONS)


def read_deepfashion2(
    folder: Path, *, category_in_key: bool = False, validation_share: float | None = None
) -> list[ImageRecord]:
    """Every item that takes part, in the domains "shop" and "user".

    Items without a style are left out where nothing is asked about them: in training, which needs
    identities, and among queries. Shop items without one stay in the galleries of hold-out and
    test as distractors.

    Args:
        folder: holds train/ and validation/.
        category_in_key: tell items of one pair and style, but of two categories apart.
        validation_share: share of the training pairs, 0..1, to hold out; None: a tenth.

    Raises:
        UserError: a portion is missing or empty, or an annotation is not as released.
    """
    share = VALIDATION_SHARE if validation_share is None else validation_share
    training = _read_portion(folder, "train")
    parts = split_identities(
        {str(annotation.pair_id) for _, annotation in training},
        test_share=0.0,
        validation_share=share,
    )
    records: list[ImageRecord] = []
    dropped = 0
    tested = _read_portion(folder, "validation")
    for portion, found in (("train", training), ("validation", tested)):
        for stem, annotation in found:
            pair, source = annotation.pair_id, annotation.source
            split = "test" if portion == "validation" else parts[str(pair)]
            for number, item in annotation.items.items():
                if not item.style and (source == "user" or split == "train"):
                    dropped += 1
                    continue
                kind = f"/category {item.category_id}" if category_in_key else ""
                key = Item(
                    image_id=int(stem),
                    item=number,
                    category=item.category_id,
                    box=item.bounding_box,
                ).key(portion, stem)
                records.append(
                    ImageRecord(
                        path=folder / portion / "image" / f"{stem}.jpg",
                        key=key,
                        identity=f"{portion}/pair {pair}/style {item.style}{kind}",
                        domain=source,
                        split=split,
                        box=item.bounding_box,
                    )
                )
    if dropped:
        say(
            f"Left out {dropped} items of {folder} without a style, which are neither queries "
            "nor training images."
        )
    if not records:
        raise UserError(f"{folder} holds no item.", "Check that it is the whole of DeepFashion2.")
    return records


def _read_portion(folder: Path, portion: str) -> Sequence[tuple[str, _Annotation]]:
    """The annotations of one portion, by the stem of their image."""
    place = folder / portion / "annos"
    try:
        files = sorted(file for file in place.iterdir() if file.suffix == ".json")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(
            f"{place} cannot be read: {reason}.",
            "DeepFashion2 is train/ and validation/, each with image/ and annos/.",
        ) from error
    if not files:
        raise UserError(f"{place} holds no annotation.", "Unpack DeepFashion2 again.")
    found = []
    with progress(f"Reading {portion} annotations", total=len(files), unit="file") as bar:
        for file in files:
            found.append((file.stem, _read_annotation(file)))
            bar.advance()
    return found


def _read_annotation(file: Path) -> _Annotation:
    try:
        if not file.stem.isascii() or not file.stem.isdigit():
            raise ValueError("its name is no number")
        return _Annotation.model_validate(json.loads(file.read_bytes()))
    except ValidationError as error:
        wrong = first_fault(error)
    except (OSError, ValueError) as error:
        wrong = str(error)
    raise UserError(
        f"{file} is no annotation of DeepFashion2: {wrong}.", "Unpack DeepFashion2 again."
    )
