"""Opens images without labels: any folder of images, or a data set whose identities are ignored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecmp.data.altered_queries import originals
from edgecmp.data.folder_tree import FolderTree
from edgecmp.data.image_files import FileImages, ImageRecord, check_files
from edgecmp.data.image_set import ImageSet
from edgecmp.data.joined import join, without_labels
from edgecmp.data.load import load_dataset
from edgecmp.data.record_files import is_record_file
from edgecmp.data.shards import is_shards
from edgecmp.errors import UserError
from edgecmp.progress import say
from edgecmp.wording import clean_name, counted, named

__all__ = ["open_unlabelled"]


def open_unlabelled(path: str | Path) -> ImageSet:
    """The images at a path, all with the label -1.

    Args:
        path: a folder, whose images at any depth are read; or shards, a record file, a manifest, a
            description or the name of a data set, all of whose splits are read. Images of a folder
            that cannot be read are left out and named.

    Raises:
        UserError: there are no images, or the data set cannot be read.
    """
    place = Path(path)
    if place.is_dir() and not is_shards(place) and not is_record_file(place):
        return _folder(place)
    dataset = load_dataset(path)
    parts = [originals(dataset, split) for split in ("train", "validation", "test")]
    splits = [images for images in parts if len(images)]
    return join(without_labels(splits[0]), splits[1:])


def _folder(folder: Path) -> ImageSet:
    """All images below a folder, by their paths."""
    tree = FolderTree(folder)
    records = [
        ImageRecord(path=path, key=clean_name(path.relative_to(folder).as_posix()), identity="")
        for path in sorted(tree.images(folder))
    ]
    if not records:
        others = f", but {tree.others}" if tree.others else ""
        raise UserError(
            f"{folder} contains no images{others}.", "Name a folder of images with --unlabelled."
        )
    tree.report()
    digests, broken = check_files(records)
    if broken:
        listed = [f"{records[place].key} ({reason})" for place, reason in broken.items()]
        found = f"{len(broken):,} of {counted(len(records), 'image')} of {folder} cannot be read"
        if len(broken) == len(records):
            raise UserError(f"{found}: {named(listed)}.", "Name a folder of images.")
        say(f"{found} and {'is' if len(broken) == 1 else 'are'} left out: {named(listed)}.")
    kept = [place for place in range(len(records)) if place not in broken]
    source = FileImages([records[place] for place in kept], [digests[place] for place in kept])
    return ImageSet(
        name=str(folder),
        identities=np.full(len(kept), -1, np.int64),
        identity_names=(),
        domains=np.zeros(len(kept), np.int16),
        domain_names=("",),
        source=source,
        rows=np.arange(len(kept), dtype=np.int64),
    )
