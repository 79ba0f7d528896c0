"""The one door to every dataset: by name, or by path to the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from edgecmp.data import emoji  # noqa: F401  (registers itself)
from edgecmp.data.dataset import Dataset
from edgecmp.data.description import DESCRIPTION_SUFFIX, DataDescription
from edgecmp.data.folder import read_folder
from edgecmp.data.manifest import MANIFEST_SUFFIXES, read_manifest
from edgecmp.data.own import OnBadImage, own_dataset
from edgecmp.data.registry import DATASETS
from edgecmp.errors import UserError, unknown_choice

__all__ = ["load_dataset"]


def load_dataset(
    name_or_path: str | Path,
    *,
    gallery_domain: str | None = None,
    on_bad_image: OnBadImage = "refuse",
) -> Dataset:
    """A dataset.

    Args:
        name_or_path: a registered name ("emoji"), a folder with one sub-folder an identity, a
            .csv or .jsonl manifest, or a .toml file that describes one of them and its options.
        gallery_domain: the domain whose images form the gallery; None: the dataset's own choice.
        on_bad_image: "refuse" a user's data where an image cannot be read or an identity has none,
            or "skip" those; registered datasets hold no such image.

    Raises:
        UserError: no such dataset, or it cannot be read.
    """
    if on_bad_image not in get_args(OnBadImage):
        raise unknown_choice("treatment of bad images", on_bad_image, get_args(OnBadImage))
    name, path = str(name_or_path), Path(name_or_path)
    if name in DATASETS:
        return DATASETS[name](gallery_domain)
    if path.suffix.lower() == DESCRIPTION_SUFFIX and path.is_file():
        described = DataDescription.load(path)
        return load_dataset(
            described.path,
            gallery_domain=gallery_domain or described.gallery_domain,
            on_bad_image=described.on_bad_image,
        )
    if path.is_dir():
        records = read_folder(path, skip_empty=on_bad_image == "skip")
    elif path.suffix.lower() in MANIFEST_SUFFIXES:
        records = read_manifest(path)
    elif path.is_file():
        raise UserError(
            f"{path} is neither a folder nor a .csv, .jsonl or .toml file.",
            "Name a folder with one sub-folder an identity, or a manifest.",
        )
    else:
        raise _unknown(name)
    return own_dataset(name, records, gallery_domain=gallery_domain, on_bad_image=on_bad_image)


def _unknown(name: str) -> UserError:
    """Neither a name nor a path: the nearest name, and what a path may be."""
    error = unknown_choice("dataset", name, sorted(DATASETS))
    return UserError(error.what, f"{error.way_out} Or give the path of a folder or manifest.")
