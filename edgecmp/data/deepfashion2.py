"""Reads DeepFashion2 as it is released: train|validation/{image,annos}/NNNNNN.{jpg,json}.

Ge et al., CVPR 2019, https://arxiv.org/abs/1901.07973. An item is the clothing in one bounding
box. An image has a source ("shop" or "user") and a pair number: a pair is a set of shop and user
images of the same products. Items of one pair with the same style above 0 are the same product
(optionally only if their categories agree too); items of style 0 have no counterpart. As in the
official evaluation, which ignores categories, the queries are the users' items with a style, and
the gallery is every item of every shop image.

Files that begin with a dot are ignored: macOS adds `._000001.json` and .DS_Store to its zips.

Networks are trained on the train portion; a share of its pairs is held out for searches (supplement
A.1). Complete pairs are held out, since two items of a pair may be in one photograph. As in the
paper, the test split is the original validation portion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from edgecmp.data.image_files import ImageRecord
from edgecmp.data.split import VALIDATION_SHARE, split_identities
from edgecmp.documents import first_fault
from edgecmp.errors import UserError, system_reason
from edgecmp.files import read_bytes
from edgecmp.progress import progress, say
from edgecmp.wording import counted, named

__all__ = ["Item", "is_deepfashion2", "read_deepfashion2"]

_PORTIONS = ("train", "validation")
_AGAIN = "Unpack DeepFashion2 again."
_SKIP = 'set on_bad_image = "skip" in a .toml description of the data to leave them out.'
_MOST_BYTES = 2**24
"""An annotation has some 10,000 bytes."""
_KEY = re.compile(r"\w+/image/(\d+)\.jpg#item(\d+),category(\d+),box(.+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One clothing item, named by the key of its image in a dataset.

    Args:
        image_id: number of the image in the official files.
        item: number of the item in the annotation.
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
        """The item that a key names; None if the key belongs to other data."""
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
    """One JSON file as it is released, whose items are fields called item1, item2, ..."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: Literal["shop", "user"]
    pair_id: int
    items: dict[int, _Item]

    @model_validator(mode="before")
    @classmethod
    def _gather_items(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        numbered = {re.fullmatch(r"item(\d{1,9})", name): name for name in document}
        names = {int(found[1]): name for found, name in numbered.items() if found}
        if len(names) < sum(found is not None for found in numbered):
            raise ValueError("two of its items have the same number")
        return document | {"items": {number: document[name] for number, name in names.items()}}


def is_deepfashion2(path: Path) -> bool:
    """Whether the folder contains a portion with annotations."""
    return any((path / portion / "annos").is_dir() for portion in _PORTIONS)


_Annotations = Sequence[tuple[str, _Annotation]]
"""The stem of each image, such as "000042", and its annotation."""


def read_deepfashion2(
    folder: Path,
    *,
    category_in_key: bool = False,
    validation_share: float | None = None,
    skip_bad: bool = False,
) -> list[ImageRecord]:
    """The items of both portions, in the domains "shop" and "user".

    Items without a style are left out of the training images, which need identities, and of the
    queries. Shop items without a style stay in the galleries of hold-out and test as distractors.

    Args:
        folder: the folder that contains train/ and validation/.
        category_in_key: treat items of one pair and style as different products if their
            categories differ.
        validation_share: share of the training pairs, 0..1, to hold out; None: a tenth.
        skip_bad: leave out annotations that cannot be read and items whose box has no area instead
            of refusing them.

    Raises:
        UserError: a portion is missing or empty, an annotation does not have the released form, or
            the box of an item has no area.
    """
    training = _read_portion(folder, "train", skip_bad)
    split_of_pair = split_identities(
        {str(annotation.pair_id) for _, annotation in training},
        test_share=0.0,
        validation_share=VALIDATION_SHARE if validation_share is None else validation_share,
    )
    testing = _read_portion(folder, "validation", skip_bad)
    listed = [
        *_records(folder, "train", training, lambda p: split_of_pair[str(p)], category_in_key),
        *_records(folder, "validation", testing, lambda _: "test", category_in_key),
    ]
    found = [record for record in listed if record is not None]
    if len(found) < len(listed):
        say(
            f"Left out {counted(len(listed) - len(found), 'item')} of {folder} without a style, "
            "which can be neither queries nor training images."
        )
    records = [record for record in found if _has_area(record)]
    if len(records) < len(found):
        flat = [record.key for record in found if not _has_area(record)]
        _report(f"{counted(len(flat), 'item')} of {folder} with a box without area", flat, skip_bad)
    if not records:
        raise UserError(
            f"{folder} contains no clothing item with a style.",
            "Check that all of DeepFashion2's train/ and validation/ was unpacked.",
        )
    return records


def _has_area(record: ImageRecord) -> bool:
    x1, y1, x2, y2 = record.box or (0, 0, 0, 0)
    return x1 < x2 and y1 < y2


def _report(what: str, listed: Sequence[str], skip: bool) -> None:
    """Refuses annotations or items, or reports that they are left out."""
    if skip:
        say(f"Left out {what}: {named(listed)}.")
        return
    raise UserError(
        f"There {'is' if len(listed) == 1 else 'are'} {what}: {named(listed)}.",
        f"Correct them, or {_SKIP}",
    )


def _records(
    folder: Path,
    portion: str,
    annotations: _Annotations,
    split_of: Callable[[int], str],
    category_in_key: bool,
) -> Iterator[ImageRecord | None]:
    """One record per item of a portion; None for an item without a style that no task uses."""
    for stem, annotation in annotations:
        pair, source = annotation.pair_id, annotation.source
        split = split_of(pair)
        for number, found in annotation.items.items():
            if not found.style and (source == "user" or split == "train"):
                yield None
                continue
            kind = f"/category {found.category_id}" if category_in_key else ""
            box, category = found.bounding_box, found.category_id
            item = Item(image_id=int(stem), item=number, category=category, box=box)
            yield ImageRecord(
                path=folder / portion / "image" / f"{stem}.jpg",
                key=item.key(portion, stem),
                identity=f"{portion}/pair {pair}/style {found.style}{kind}",
                domain=source,
                split=split,
                box=box,
            )


def _read_portion(folder: Path, portion: str, skip_bad: bool) -> _Annotations:
    place = folder / portion / "annos"
    try:
        files = sorted(
            file
            for file in place.iterdir()
            if file.suffix.lower() == ".json" and not file.name.startswith(".")
        )
    except OSError as error:
        raise UserError(
            f"{place} cannot be read: {system_reason(error)}.",
            "Name a folder that contains train/ and validation/, each with image/ and annos/.",
        ) from error
    if not files:
        raise UserError(f"{place} contains no annotation file.", _AGAIN)
    found: list[tuple[str, _Annotation]] = []
    bad: list[str] = []
    with progress(f"Reading {portion} annotations", total=len(files), unit="file") as bar:
        for file in files:
            try:
                found.append((file.stem, _read_annotation(file)))
            except UserError as error:
                if not skip_bad:
                    raise
                bad.append(error.what.rstrip("."))
            bar.advance()
    if bad and not found:
        raise UserError(f"{place} contains no usable annotation: {bad[0]}.", _AGAIN)
    if bad:
        _report(f"{counted(len(bad), 'annotation')} of {place}", bad, skip_bad)
    empty = sum(not annotation.items for _, annotation in found)
    if empty:
        say(f"Read {counted(empty, 'annotation')} without an item in {place}.")
    return found


def _read_annotation(file: Path) -> _Annotation:
    content = read_bytes(file, what="an annotation of DeepFashion2", limit=_MOST_BYTES)
    try:
        if not file.stem.isascii() or not file.stem.isdigit():
            raise ValueError("its name is not a number")
        if not content.strip():
            raise ValueError("it is empty")
        return _Annotation.model_validate(json.loads(content.decode("utf-8-sig")))
    except ValidationError as error:
        wrong = first_fault(error)
    except ValueError as error:
        wrong = str(error)
    except RecursionError:
        wrong = "it is nested too deep"
    raise UserError(
        f"{file} is not an annotation of DeepFashion2: {wrong}.",
        f"Unpack DeepFashion2 again; if it is so in the release, {_SKIP}",
    )
