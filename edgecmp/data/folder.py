"""Reads a folder with one sub-folder an identity, or those below train/, validation/ and test/."""

from __future__ import annotations

import os
from pathlib import Path

from edgecmp.data.image_files import ImageRecord
from edgecmp.errors import UserError
from edgecmp.progress import say

__all__ = ["IMAGE_SUFFIXES", "read_folder"]

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
_SPLIT_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


def read_folder(folder: Path, *, skip_empty: bool = False) -> list[ImageRecord]:
    """The images of `folder`/IDENTITY/..., sorted by path; other files are not looked at.

    Where every sub-folder is called train, validation (or val) or test, identities lie below those
    and the folders are the split.

    Args:
        folder: the folder.
        skip_empty: leave identities without an image out instead of refusing them.

    Raises:
        UserError: no identity folders, an image outside of them, or an identity without an image.
    """
    children = _visible(folder)
    parts = [child for child in children if child.is_dir()]
    if parts and all(part.name in _SPLIT_FOLDERS for part in parts):
        roots = [(part, _SPLIT_FOLDERS[part.name]) for part in parts]
    else:
        roots = [(folder, "")]
    records: list[ImageRecord] = []
    empty: list[str] = []
    for root, split in roots:
        for child in _visible(root):
            if child.is_dir():
                images = _images(child)
                if not images:
                    empty.append(child.relative_to(folder).as_posix())
                records += [
                    ImageRecord(
                        path=path,
                        key=path.relative_to(folder).as_posix(),
                        identity=child.name,
                        split=split,
                    )
                    for path in images
                ]
            elif child.suffix.lower() in IMAGE_SUFFIXES:
                raise UserError(
                    f"{child} lies outside of the identity folders.",
                    f"Put each image of {folder} into a folder named after its identity.",
                )
    if empty:
        _report_empty(folder, empty, skip=skip_empty)
    if not records:
        raise UserError(
            f"{folder} holds no images.",
            "Give a folder with one sub-folder of images for each identity.",
        )
    return records


def _report_empty(folder: Path, empty: list[str], *, skip: bool) -> None:
    """Refuses identities without an image, or says that they are left out."""
    named = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
    if skip:
        say(f"Left out {len(empty)} identities of {folder} without an image: {named}.")
        return
    raise UserError(
        f"{len(empty)} identity folders of {folder} hold no image: {named}.",
        'Remove them or add images, or leave them out with on_bad_image = "skip" (see README).',
    )


def _visible(folder: Path) -> list[Path]:
    """What lies in the folder, sorted by name, without hidden entries."""
    try:
        return sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"{folder} cannot be read: {reason}.", "Check the path.") from error


def _images(folder: Path) -> list[Path]:
    """The image files at any depth below the folder, sorted by path."""
    found: list[Path] = []
    for child in _visible(folder):
        if child.is_dir():
            found += _images(child)
        elif child.suffix.lower() in IMAGE_SUFFIXES:
            found.append(child)
    return found
