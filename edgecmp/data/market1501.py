"""Reads Market-1501 and data sets in its layout, such as DukeMTMC-reID and VeRi-776.

Zheng et al., ICCV 2015, https://doi.org/10.1109/ICCV.2015.133. `bounding_box_train` contains the
training images, `query` the queries and `bounding_box_test` the gallery of the test; files are
called PPPP_cCsS_FFFFFF_DD.jpg (P: identity, C: camera). Identity -1 is junk, which the evaluation
ignores; identity 0000 in the gallery are distractors.

As the authors' evaluation requires, the gallery images of a query's identity from its own camera
are ignored for this query (`ImageSet.cameras`). The training images get the same roles, so that
the hold-out of searches poses the same task: the first image of each identity from each camera is
a query, as in the test, and the others are the gallery.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from edgecmp.data.folder_tree import FolderTree
from edgecmp.data.image_files import ImageRecord
from edgecmp.errors import UserError
from edgecmp.progress import say
from edgecmp.wording import clean_name, counted

__all__ = ["is_market1501", "read_market1501"]

_LAYOUTS = (
    ("bounding_box_train", "query", "bounding_box_test"),
    ("image_train", "image_query", "image_test"),
)
"""The folders of training images, queries and gallery: Market-1501's and VeRi-776's."""

_NAME = re.compile(r"(-1|\d+)_c(\d+)(?!\d)")
_JUNK = "-1"


def is_market1501(path: Path) -> bool:
    """Whether a folder has the training or the gallery folder of one of the layouts."""
    return _layout(path) is not None


def read_market1501(folder: Path) -> list[ImageRecord]:
    """The images with their cameras, in the domains "query" and "gallery", without the junk.

    Args:
        folder: the folder with the three folders.

    Raises:
        UserError: one of the folders is missing or empty, or an image has another name.
    """
    names = _layout(folder) or _LAYOUTS[0]
    tree = FolderTree(folder)
    records: list[ImageRecord] = []
    left_out: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for name, split in zip(names, ("train", "test", "test"), strict=True):
        for path in _images(tree, folder / name):
            found = _NAME.match(path.name)
            if found is None:
                raise UserError(
                    f"{path} is not called like an image of Market-1501, such as "
                    "0001_c1s1_001051_00.jpg: identity 1, camera 1.",
                    "Rename the file, or move it away.",
                )
            identity, camera = found[1], str(int(found[2]))
            if identity == _JUNK:
                left_out[name] += 1
                continue
            domain = "gallery" if name == names[2] else "query"
            if split == "train" and (identity, camera) in seen:
                domain = "gallery"
            seen.add((identity, camera))
            records.append(
                ImageRecord(
                    path=path,
                    key=clean_name(f"{name}/{path.name}"),
                    identity=identity,
                    domain=domain,
                    split=split,
                    camera=camera,
                )
            )
    tree.report()
    for name, count in left_out.items():
        junk = counted(count, "junk image")
        say(f"Left out {junk} of {folder / name}: those with the identity {_JUNK}.")
    return records


def _layout(folder: Path) -> tuple[str, str, str] | None:
    """The layout whose training or gallery folder the folder has."""
    return next(
        (
            names
            for names in _LAYOUTS
            if (folder / names[0]).is_dir() or (folder / names[2]).is_dir()
        ),
        None,
    )


def _images(tree: FolderTree, folder: Path) -> tuple[Path, ...]:
    """The images directly in one of the three folders, sorted by name."""
    images = tree.listing(folder).images if folder.is_dir() else ()
    if not images:
        raise UserError(
            f"{folder.parent} has the layout of Market-1501, but {folder.name} contains no images.",
            "Unpack the data again, so that it has the folders of training images, of queries and "
            "of the gallery.",
        )
    return images
