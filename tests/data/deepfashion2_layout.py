"""Emoji laid out as DeepFashion2: a product is an emoji, the shop is Google, users the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgecmp.data import ImageSet, load_dataset
from edgecmp.preprocessing import Preprocessing

__all__ = ["items_of", "lay_out"]

SIDE = 64
NATIVE = Preprocessing(input_size=SIDE)


def lay_out(root: Path, *, train_pairs: int = 20, test_pairs: int = 20) -> Path:
    """Writes both portions below `root`.

    A pair has two products: style 1 and style 2 in the categories 3 and 7. Its shop images show
    both beside a third item without a style, which is drawn by the shop alone; its user images show
    one or two of the products, each by another vendor, and every third one an item of style 0.
    One pair's style 2 is never shown by the shop.
    """
    emoji = load_dataset("emoji")
    _portion(root / "train", emoji.train, train_pairs, first=0)
    _portion(root / "validation", emoji.test, test_pairs, first=1000)
    return root


def items_of(root: Path, portion: str) -> list[dict[str, Any]]:
    """Every annotated item, read by the JSON module alone."""
    files = sorted((root / portion / "annos").glob("*.json"))
    documents = [(int(file.stem), json.loads(file.read_text())) for file in files]
    return [
        {
            "image": image,
            "source": document["source"],
            "pair": document["pair_id"],
            "style": item["style"],
            "category": item["category_id"],
            "box": tuple(map(float, item["bounding_box"])),
        }
        for image, document in documents
        for name, item in document.items()
        if name.startswith("item")
    ]


def _portion(folder: Path, images: ImageSet, pairs: int, *, first: int) -> None:
    random = np.random.default_rng(first)
    for name in ("image", "annos"):
        (folder / name).mkdir(parents=True)
    google = images.domain_names.index("google")
    drawn = {
        identity: np.flatnonzero(images.identities == identity)
        for identity in range(len(images.identity_names))
    }
    usable = [
        identity
        for identity, places in drawn.items()
        if len(places) >= 4 and (images.domains[places] == google).any()
    ]
    number = 0

    def write(source: str, pair: int, items: list[tuple[int, int, int]]) -> None:
        nonlocal number
        number += 1
        canvas = Image.new("RGB", (240, 100), (235, 240, 245))
        document: dict[str, Any] = {"source": source, "pair_id": pair}
        for place, (row, style, category) in enumerate(items):
            left, upper = 10 + 74 * place, int(random.integers(0, 30))
            canvas.paste(Image.fromarray(images.pixels(NATIVE, [row])[0]), (left, upper))
            document[f"item{place + 1}"] = {
                "category_id": category,
                "category_name": "as released",
                "style": style,
                "bounding_box": [left, upper, left + SIDE, upper + SIDE],
                "landmarks": [0, 0, 0],
                "scale": 2,
            }
        stem = f"{first + number:06d}"
        canvas.save(folder / "image" / f"{stem}.jpg", quality=95, subsampling=0)
        (folder / "annos" / f"{stem}.json").write_text(json.dumps(document))

    for pair in range(pairs):
        one, two, other = usable[3 * pair : 3 * pair + 3]
        by_google = {
            i: [row for row in drawn[i] if images.domains[row] == google] for i in (one, two, other)
        }
        by_users = {
            i: [row for row in drawn[i] if images.domains[row] != google] for i in (one, two)
        }
        shop = [(by_google[one][0], 1, 3), (by_google[two][0], 2, 7), (by_google[other][0], 0, 3)]
        if pair == 1:
            del shop[1]
        write("shop", first + pair, shop)
        for turn in range(3):
            items = [(by_users[one][turn % len(by_users[one])], 1, 3)]
            if turn:
                items.append((by_users[two][turn % len(by_users[two])], 2, 7))
            if not turn:
                items.append((by_users[two][0], 0, 7))
            write("user", first + pair, items)
