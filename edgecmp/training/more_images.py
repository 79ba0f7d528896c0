"""MoreImages: images that join a training without their identities.

Images of the test split and of the hold-out stay unseen: copies of them, exact or near (see
`edgecmp.data.contents`), are left out of what joins, and counted, as are images that the training
has already. The one exception is asked for: the gallery's own images, whose figures then are of
another protocol (see `edgecmp.data.protocol_names`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import numpy as np

from edgecmp.artefacts.seen import SeenImages
from edgecmp.data import Dataset, ImageSet
from edgecmp.data.contents import NEAR, Contents, contents_of
from edgecmp.data.image_set import Integers
from edgecmp.data.joined import join
from edgecmp.data.unlabelled import open_unlabelled
from edgecmp.errors import UserError
from edgecmp.gallery.index_images import images_of_index
from edgecmp.gallery.index_manifest import IndexManifest, is_index
from edgecmp.progress import say
from edgecmp.wording import counted

__all__ = ["NO_MORE", "MoreImages"]

_Split: TypeAlias = Literal["validation", "test"]
_SPLITS: tuple[_Split, ...] = ("validation", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class MoreImages:
    """Images without labels for one training; by default there are none.

    Attributes:
        unlabelled: the images of each path.
        gallery: the gallery images of the hold-out and of the test split.
        seen: the hashes of all of them; None if there are none.
    """

    unlabelled: tuple[ImageSet, ...] = ()
    gallery: tuple[ImageSet, ...] = ()
    seen: SeenImages | None = field(default=None)

    def __len__(self) -> int:
        return sum(map(len, (*self.gallery, *self.unlabelled)))

    @classmethod
    def open(
        cls,
        dataset: Dataset,
        unlabelled: Sequence[str | Path | ImageSet] = (),
        *,
        gallery_images: bool = False,
    ) -> Self:
        """Opens the images, and leaves out those that must not join or are there already.

        Args:
            dataset: the data of the training.
            unlabelled: paths of images: see `open_unlabelled`, or a gallery index, whose images are
                read from where it was built; or images that are open already.
            gallery_images: whether the gallery images of the hold-out and of the test split join.

        Raises:
            UserError: a path has no images that may join, or the data has no gallery images.
        """
        if not unlabelled and not gallery_images:
            return cls()
        held_out = {split: contents_of(getattr(dataset, split)) for split in _SPLITS}
        gallery: list[ImageSet] = []
        seen: list[SeenImages] = []
        taken = contents_of(dataset.train)
        if gallery_images:
            for images, contents in _gallery(dataset, held_out):
                gallery.append(images)
                seen.append(SeenImages.of(contents, gallery=True))
        tested = held_out["validation"].joined(held_out["test"])
        found: list[ImageSet] = []
        for path in unlabelled:
            images, contents = _new(path, tested, taken)
            taken = taken.joined(contents)
            found.append(images)
            seen.append(SeenImages.of(contents, gallery=False))
        everything = seen[0]
        for more in seen[1:]:
            everything = everything.joined(more)
        return cls(unlabelled=tuple(found), gallery=tuple(gallery), seen=everything)

    def joined(self, train: ImageSet) -> ImageSet:
        """The training images, then these, with the label -1."""
        return join(train, (*self.gallery, *self.unlabelled))

    @property
    def compared(self) -> dict[str, Any]:
        """What an earlier training must have in common; empty if there are no images."""
        described: dict[str, Any] = {}
        for name, sets in (("unlabelled", self.unlabelled), ("gallery_images", self.gallery)):
            if sets:
                described[name] = [
                    {"images": len(images), "fingerprint": images.fingerprint} for images in sets
                ]
        return described

    def manifest_data(self, train: ImageSet, name: str, seen: SeenImages | None) -> dict[str, Any]:
        """What the manifest of a network says about the images that it was trained on.

        Args:
            train: the images with labels.
            name: of the data set.
            seen: see `TrainingSession.seen`.
        """
        data: dict[str, Any] = {"name": name, "fingerprint": train.fingerprint}
        if self.unlabelled:
            data["unlabelled"] = [
                {"name": images.name, "images": len(images), "fingerprint": images.fingerprint}
                for images in self.unlabelled
            ]
        if seen is not None:
            if seen.gallery.any():
                data["gallery_known"] = counted(int(seen.gallery.sum()), "image")
            data["seen_sha256"] = seen.sha256
        return data


NO_MORE: Final = MoreImages()
"""No images without labels."""


def _gallery(
    dataset: Dataset, held_out: Mapping[_Split, Contents]
) -> list[tuple[ImageSet, Contents]]:
    """The gallery images of both tasks that no query copies, with their contents."""
    tasks = []
    for split in _SPLITS:
        try:
            task = dataset.retrieval(split)
        except UserError as error:
            reason = error
            continue
        images: ImageSet = getattr(dataset, split)
        in_gallery = np.isin(images.rows, task.gallery.rows)
        tasks.append((images, held_out[split], in_gallery))
    if not tasks:
        raise UserError(f"--gallery-images has no effect: {reason.what}", "Leave it out.")
    queries = tasks[0][1].subset(~tasks[0][2])
    for _, contents, in_gallery in tasks[1:]:
        queries = queries.joined(contents.subset(~in_gallery))
    found, copies = [], 0
    for images, contents, in_gallery in tasks:
        gallery = contents.subset(in_gallery)
        copied = _copies(gallery, queries)
        copies += int(copied.sum())
        found.append((images.subset(np.flatnonzero(in_gallery)[~copied]), gallery.subset(~copied)))
    number = counted(sum(len(images) for images, _ in found), "gallery image")
    left_out = f"; {counted(copies, 'copy')} of queries left out" if copies else ""
    say(f"{number} of {dataset.name} join the training without their identities{left_out}.")
    return found


def _new(
    path: str | Path | ImageSet, tested: Contents, taken: Contents
) -> tuple[ImageSet, Contents]:
    """The images at a path that may join, with their contents.

    Args:
        path: of the images, or the images.
        tested: what the test split and the hold-out show.
        taken: what the training has already.

    Raises:
        UserError: there are none.
    """
    images = path if isinstance(path, ImageSet) else _opened(path)
    name = images.name if isinstance(path, ImageSet) else path
    contents = contents_of(images)
    leaked = _copies(contents, tested)
    _, first = np.unique(contents.digests, return_index=True)
    again = contents.exact_in(taken)
    again[np.setdiff1d(np.arange(len(contents)), first)] = True
    again &= ~leaked
    kept = ~(leaked | again)
    reasons = [
        f"{counted(int(rows.sum()), 'image')} that {'is' if rows.sum() == 1 else 'are'} {what}"
        for rows, what in (
            (leaked, "in the test split or the hold-out too"),
            (again, "in the training already"),
        )
        if rows.any()
    ]
    if not kept.any():
        raise UserError(
            f"{name} has no image that can join the training: {' and '.join(reasons)}.",
            "Name other images with --unlabelled; --gallery-images adds those of the gallery, and "
            "the figures then say so.",
        )
    left_out = f"; left out {' and '.join(reasons)}" if reasons else ""
    say(
        f"{counted(int(kept.sum()), 'image')} of {name} join the training without labels{left_out}."
    )
    return images.subset(kept), contents.subset(kept)


def _opened(path: str | Path) -> ImageSet:
    """The images at a path, which may be a gallery index."""
    place = Path(path)
    if not is_index(place):
        return open_unlabelled(path)
    try:
        images = images_of_index(IndexManifest.load_whole(place))
    except UserError as error:
        raise UserError(error.what, "Name the folder of its images with --unlabelled.") from error
    assert images is not None  # as they are required
    return images


def _copies(contents: Contents, others: Contents) -> Integers:
    """(N,) bool: whether the others have an exact or a near copy of each image."""
    _, differences = contents.nearest_in(others)
    copies: Integers = contents.exact_in(others) | (differences <= NEAR)
    return copies
