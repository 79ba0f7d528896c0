"""Reads a folder with one subfolder per identity, optionally below train/, val/ and test/.

The folders of the splits may have other usual names, in any case (`Training`, `valid`, `dev`); a
split may be divided into `query` and `gallery`, which become the domains of its images. If one
folder alone contains all others, as archives unpacked into a folder of their own do, it is entered.

Images need no identities: see `edgecmp.data.folder_labels` for what tells albums from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgecmp.data.folder_labels import Labels, called_like_albums
from edgecmp.data.folder_tree import FolderTree, Listing
from edgecmp.data.image_files import ImageRecord
from edgecmp.data.split import named_part
from edgecmp.errors import UserError
from edgecmp.progress import say
from edgecmp.wording import clean_name, counted, named

__all__ = ["innermost", "read_folder"]

_MANIFEST = (
    "or list the images in a manifest, in which identities may have such names "
    "(see docs/reference/data-formats.md)."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """A folder that contains identity folders, with the split and the domain of its images."""

    folder: Path
    split: str = ""
    domain: str = ""


def read_folder(
    folder: Path, *, labels: Labels | None = None, skip_empty: bool = False
) -> list[ImageRecord]:
    """The images of `folder`/IDENTITY/..., sorted by key; other files are counted and left out.

    If the subfolders are called after splits (see `edgecmp.data.split.named_part`), the identity
    folders are inside them. Images without labels are each an identity, called by its key.

    Args:
        folder: the folder.
        labels: whether sub-folders are identities, or images have no labels; None: by their names.
        skip_empty: leave out identity folders without an image instead of refusing them.

    Raises:
        UserError: there are no images, an image is not in an identity folder, an identity folder
            has no image, or folders of splits and of identities are beside each other.
    """
    top = _entered(FolderTree(folder), folder)
    tree = FolderTree(top)
    parts = _parts(tree, labels)
    unlabelled = labels == "none" or (labels is None and _unlabelled(tree, parts))
    records: dict[str, ImageRecord] = {}
    empty: list[str] = []
    for part in parts:
        for identity in [part.folder] if unlabelled else _identity_folders(tree, part):
            before = len(records)
            for path in tree.images(identity):
                key = clean_name(path.relative_to(top).as_posix())
                while key in records:  # two names that differ in the form of an accent alone
                    key += "'"
                records[key] = ImageRecord(
                    path=path,
                    key=key,
                    identity=key if unlabelled else clean_name(identity.name),
                    domain=part.domain,
                    split=part.split,
                )
            if len(records) == before and not unlabelled:
                empty.append(identity.relative_to(top).as_posix())
    if not records:
        others = f", but {tree.others}" if tree.others else ""
        raise UserError(
            f"{top} contains no images{others}.",
            "Name a folder with one subfolder of images per identity.",
        )
    tree.report()
    if empty:
        _report_empty(top, empty, skip=skip_empty)
    return [records[key] for key in sorted(records)]


def innermost(folder: Path) -> Path:
    """The folder itself, or the one in it that alone contains all folders, and so on.

    A folder that is called after a split is not entered.

    Raises:
        UserError: a folder cannot be read.
    """
    return _innermost(FolderTree(folder), folder)


def _innermost(tree: FolderTree, folder: Path) -> Path:
    """`innermost` of a folder in a tree."""
    while True:
        found = tree.listing(folder)
        if found.images or len(found.folders) != 1 or named_part(found.folders[0].name):
            return folder
        inner = tree.listing(found.folders[0])
        if inner.images or not inner.folders:
            return folder
        folder = found.folders[0]


def _entered(tree: FolderTree, folder: Path) -> Path:
    """`innermost` of a folder in a tree; says if it is another folder."""
    inner = _innermost(tree, folder)
    if inner != folder:
        say(f"{folder} contains only {inner.relative_to(folder)}, which is read instead.")
    return inner


def _parts(tree: FolderTree, labels: Labels | None) -> list[_Part]:
    """The folders that contain identity folders, or images without labels."""
    found = tree.listing(tree.top)
    folders = found.folders
    if labels == "none":
        if found.images or not all(named_part(folder.name) for folder in folders):
            return [_Part(folder=tree.top)]
    elif not _all_named(tree.top, folders):
        _refuse_splits_inside(tree, folders)
        return [_Part(folder=tree.top)]
    parts: list[_Part] = []
    for folder in folders:
        split, domain = named_part(folder.name) or ("", "")
        part = _Part(folder=folder, split=split, domain=domain)
        parts += [part] if labels == "none" else _parts_of_split(tree, part)
    if labels == "none":
        _refuse_roles(tree.top, parts)
    return parts


def _unlabelled(tree: FolderTree, parts: Sequence[_Part]) -> bool:
    """Whether no part has identity folders; says so."""
    if not all(_holds_albums(tree, part) for part in parts):
        return False
    if not any(tree.listing(part.folder).images or part.split for part in parts):
        albums = [folder.name for part in parts for folder in tree.listing(part.folder).folders]
        say(
            f"The folders in {tree.top} are read as albums ({named(albums)}), whose images have no "
            'labels: each is its own identity. If they are identities, set labels = "identities" '
            "in a .toml description of the data."
        )
    else:
        say(
            f"The images of {tree.top} are not in identity folders, so each is its own identity. "
            'To say so in a .toml description of the data, set labels = "none".'
        )
    _refuse_roles(tree.top, parts)
    return True


def _holds_albums(tree: FolderTree, part: _Part) -> bool:
    """Whether a part has images that no identity folder contains, and no identity folder."""
    found = tree.listing(part.folder)
    names = [folder.name for folder in found.folders]
    if not names:
        return bool(found.images)
    alone = len(names) == 1 and not part.split and not tree.listing(found.folders[0]).folders
    return called_like_albums(names) or (alone and not found.images)


def _refuse_roles(top: Path, parts: Sequence[_Part]) -> None:
    """Refuses images without labels in folders of queries and of the gallery."""
    if any(part.domain for part in parts):
        raise UserError(
            f"{top} has queries and a gallery, but their images are not in identity folders, so "
            "nothing says which of them match.",
            "Add identity folders, or list the pairs in a table with the columns query and match "
            "(see docs/reference/data-formats.md).",
        )


def _parts_of_split(tree: FolderTree, part: _Part) -> list[_Part]:
    """A split's folder itself, or the folders query and gallery in it."""
    inner = _entered(tree, part.folder)
    folders = tree.listing(inner).folders
    if not _all_named(inner, folders):
        return [replace(part, folder=inner)]
    found: list[_Part] = []
    for folder in folders:
        split, domain = named_part(folder.name) or ("", "")
        again = not domain and split == part.split and len(folders) == 1  # such as train/train
        if again:
            found += _parts_of_split(tree, replace(part, folder=folder))
        elif domain and not part.domain:
            found.append(replace(part, folder=_entered(tree, folder), domain=domain))
        else:
            raise UserError(
                f"{inner}, the folder of a split, contains a folder {folder.name!r}, which "
                "is called after a split too.",
                f"Keep identity folders in it, or query and gallery, {_MANIFEST}",
            )
    return found


def _all_named(parent: Path, folders: Sequence[Path]) -> bool:
    """Whether the folders are called after splits; refuses some that are beside others."""
    parts = [folder.name for folder in folders if named_part(folder.name)]
    others = [folder.name for folder in folders if not named_part(folder.name)]
    if parts and others:
        raise UserError(
            f"{parent} has {counted(len(parts), 'folder')} called after splits ({named(parts)}) "
            f"beside {counted(len(others), 'other folder')} ({named(others)}).",
            f"Keep only folders of splits there, or only folders of identities, {_MANIFEST}",
        )
    return bool(parts)


def _refuse_splits_inside(tree: FolderTree, identities: Sequence[Path]) -> None:
    """Refuses IDENTITY/train/..., IDENTITY/test/...: no identity may be in two splits."""
    inside: list[Listing] = [tree.listing(folder) for folder in identities]
    if inside and all(
        found.folders and not found.images and all(named_part(one.name) for one in found.folders)
        for found in inside
    ):
        example = inside[0].folders[0].relative_to(tree.top)
        raise UserError(
            f"The identity folders of {tree.top} contain folders called after splits, such as "
            f"{example}.",
            "Assign each identity to one split, and put the folders of splits outside: "
            f"{example.name}/{example.parent}.",
        )


def _identity_folders(tree: FolderTree, part: _Part) -> Iterator[Path]:
    """The identity folders in one part, sorted by name; refuses an image outside of them."""
    found = tree.listing(part.folder)
    if found.images:
        raise UserError(
            f"{found.images[0]} is not in an identity folder.",
            f"Move each image of {part.folder} into a subfolder named after its identity, or set "
            'labels = "none" in a .toml description of the data if no two images show the same.',
        )
    if part.split and not found.folders:
        raise UserError(
            f"{part.folder}, the folder of a split, contains no identity folders.",
            "Add one subfolder of images per identity, or remove it.",
        )
    yield from found.folders


def _report_empty(folder: Path, empty: list[str], *, skip: bool) -> None:
    """Refuses identity folders without an image, or reports that they are left out."""
    folders = counted(len(empty), "identity folder")
    if skip:
        say(f"Left out {folders} of {folder} without an image: {named(empty)}.")
        return
    verb = "contains" if len(empty) == 1 else "contain"
    raise UserError(
        f"{folders} of {folder} {verb} no image: {named(empty)}.",
        'Remove them, add images, or set on_bad_image = "skip" in a .toml description of the data '
        "(see docs/reference/data-formats.md).",
    )
