"""Lists the images of a folder tree, and counts what is not read: other files and link loops."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgecmp.decoding import IMAGE_SUFFIXES
from edgecmp.errors import UserError, system_reason
from edgecmp.progress import say
from edgecmp.wording import counted, named

__all__ = ["FolderTree", "Listing"]

_OF_SYSTEMS = frozenset(
    (
        "#recycle",
        "$recycle.bin",
        "@eadir",
        "@recycle",
        "__macosx",
        "desktop.ini",
        "ehthumbs.db",
        "lost+found",
        "system volume information",
        "thumbs.db",
    )
)
"""What operating systems and storage devices leave in folders, in lower case."""


_LISTS = frozenset((".csv", ".tsv", ".jsonl", ".toml"))
"""Endings of files that may list or describe the images, and can be read in place of a folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The folders and the images directly in one folder, each sorted by name."""

    folders: tuple[Path, ...]
    images: tuple[Path, ...]


@dataclass(slots=True)
class FolderTree:
    """The folders below one folder, each listed at most once.

    Hidden files (`.DS_Store`, `._*`) and those of operating systems (`__MACOSX`, `@eaDir`,
    `Thumbs.db`) are ignored. Links to images are followed. A link to a folder is followed unless
    that folder is inside the tree or was read already: a loop would never end, and the images
    would occur twice.

    Args:
        top: the folder.
    """

    top: Path
    _listings: dict[Path, Listing] = field(default_factory=dict, init=False)
    _others: Counter[str] = field(default_factory=Counter, init=False)
    _lists: list[str] = field(default_factory=list, init=False)
    _links: list[str] = field(default_factory=list, init=False)
    _entered: set[str] = field(default_factory=set, init=False)
    _real_top: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._real_top = os.path.realpath(self.top)

    def listing(self, folder: Path) -> Listing:
        """The folders and images directly in one folder of the tree.

        Raises:
            UserError: the folder cannot be read.
        """
        if folder not in self._listings:
            self._listings[folder] = self._list(folder)
        return self._listings[folder]

    def images(self, folder: Path) -> Iterator[Path]:
        """The images at any depth below a folder of the tree.

        Raises:
            UserError: a folder cannot be read.
        """
        waiting = [folder]
        while waiting:
            found = self.listing(waiting.pop())
            yield from found.images
            waiting += found.folders

    @property
    def others(self) -> str:
        """The files that are not images, by ending: "7 .mp4, 5 .txt"; "" if there are none."""
        most = self._others.most_common()
        return named([f"{count:,} {ending}" for ending, count in most], 8)

    def report(self) -> None:
        """Says what was left out of the folders that were listed."""
        if self._others:
            total = counted(self._others.total(), "file")
            verb = "is not an image" if self._others.total() == 1 else "are not images"
            say(f"Left out {total} of {self.top} that {verb}: {self.others}.{self._hint}")
        if self._links:
            links = counted(len(self._links), "link")
            say(f"Left out {links} to folders that are read elsewhere: {named(self._links)}.")

    @property
    def _hint(self) -> str:
        """What to name if files directly in the folder list or describe its images."""
        if not self._lists:
            return ""
        what = "it lists or describes" if len(self._lists) == 1 else "one lists or describes"
        return f" If {what} the images, name it in place of the folder: {named(self._lists)}."

    def _list(self, folder: Path) -> Listing:
        folders: list[str] = []
        images: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower() in _OF_SYSTEMS:
                        continue
                    if entry.is_dir():
                        if not entry.is_symlink() or self._may_enter(entry.path):
                            folders.append(entry.name)
                    elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122
                        images.append(entry.name)
                    else:
                        self._others[_kind(entry)] += 1
                        if folder == self.top and Path(entry.name).suffix.lower() in _LISTS:
                            self._lists.append(entry.name)
        except OSError as error:
            raise UserError(
                f"{folder} cannot be read: {system_reason(error)}.",
                "Check that the path is right and that you are allowed to read it.",
            ) from error
        return Listing(
            folders=tuple(folder / name for name in sorted(folders)),
            images=tuple(folder / name for name in sorted(images)),
        )

    def _may_enter(self, link: str) -> bool:
        """Whether a link to a folder is to be followed; notes it otherwise."""
        target = os.path.realpath(link)
        here = os.path.realpath(os.path.dirname(link))  # noqa: PTH120
        if target in self._entered or _inside(target, self._real_top) or _inside(here, target):
            self._links.append(os.path.relpath(link, self.top))
            return False
        self._entered.add(target)
        return True


def _kind(entry: os.DirEntry[str]) -> str:
    """The ending of a file that is not an image, or what it is."""
    if entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
        return "broken link"
    return os.path.splitext(entry.name)[1].lower() or "without ending"  # noqa: PTH122


def _inside(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies inside of it; both are without links."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
