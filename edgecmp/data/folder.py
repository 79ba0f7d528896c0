"""Reads a folder with one subfolder per identity, optionally below train/, val/ and test/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgecmp.data.image_files import ImageRecord
from edgecmp.errors import UserError, system_reason
from edgecmp.progress import say

__all__ = ["IMAGE_SUFFIXES", "read_folder"]

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
_SPLIT_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


def read_folder(folder: Path, *, skip_empty: bool = False) -> list[ImageRecord]:
    """The images of `folder`/IDENTITY/..., sorted by path; other files are ignored.

    If every subfolder is called train, validation (or val) or test, these folders are the splits
    and the identity folders are inside them.

    Args:
        folder: the folder.
        skip_empty: leave out identity folders without an image instead of refusing them.

    Raises:
        UserError: there are no images, an image is not in an identity folder, or an identity folder
            has no image.
    """
    records: list[ImageRecord] = []
    empty: list[str] = []
    for root, split in _split_roots(folder):
        for identity in _identity_folders(root):
            images = _images(identity)
            if not images:
                empty.append(identity.relative_to(folder).as_posix())
            records += [
                ImageRecord(
                    path=path,
                    key=path.relative_to(folder).as_posix(),
                    identity=identity.name,
                    split=split,
                )
                for path in images
            ]
    if empty:
        _report_empty(folder, empty, skip=skip_empty)
    if not records:
        raise UserError(
            f"{folder} contains no images.",
            "Name a folder with one subfolder of images per identity.",
        )
    return records


def _split_roots(folder: Path) -> list[tuple[Path, str]]:
    """The folders that contain identity folders, and the split of each; "" if there are none."""
    children = [child for child in _visible(folder) if child.is_dir()]
    if children and all(child.name in _SPLIT_FOLDERS for child in children):
        return [(child, _SPLIT_FOLDERS[child.name]) for child in children]
    return [(folder, "")]


def _identity_folders(root: Path) -> Iterator[Path]:
    """The identity folders in `root`, sorted by name; refuses an image outside of them."""
    for child in _visible(root):
        if child.is_dir():
            yield child
        elif child.suffix.lower() in IMAGE_SUFFIXES:
            raise UserError(
                f"{child} is not in an identity folder.",
                f"Move each image of {root} into a subfolder named after its identity.",
            )


def _report_empty(folder: Path, empty: list[str], *, skip: bool) -> None:
    """Refuses identity folders without an image, or reports that they are left out."""
    named = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
    if skip:
        say(f"Left out {len(empty)} identity folders of {folder} without an image: {named}.")
        return
    raise UserError(
        f"{len(empty)} identity folders of {folder} contain no image: {named}.",
        'Remove them, add images, or set on_bad_image = "skip" in a .toml description of the data '
        "(see docs/reference/data-formats.md).",
    )


def _visible(folder: Path) -> list[Path]:
    """The entries of the folder without hidden ones, sorted by name."""
    try:
        return sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read: {system_reason(error)}.",
            "Check that the path is right and that you are allowed to read it.",
        ) from error


def _images(folder: Path) -> list[Path]:
    """The image files at any depth below the folder, sorted by path."""
    found: list[Path] = []
    for child in _visible(folder):
        if child.is_dir():
            found += _images(child)
        elif child.suffix.lower() in IMAGE_SUFFIXES:
            found.append(child)
    return found
