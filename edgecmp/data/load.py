"""Loads every dataset, by registered name or by the path of the user's data."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from edgecmp.data import emoji  # noqa: F401  (registers itself)
from edgecmp.data.altered_queries import with_altered_queries
from edgecmp.data.dataset import Dataset
from edgecmp.data.description import DESCRIPTION_SUFFIX, DataDescription
from edgecmp.data.formats import format_of
from edgecmp.data.registry import DATASETS
from edgecmp.data.user_dataset import OnBadImage
from edgecmp.errors import UserError, system_reason, unknown_choice
from edgecmp.kept import kept

__all__ = ["load_dataset"]


def load_dataset(
    name_or_path: str | Path,
    *,
    gallery_domain: str | None = None,
    on_bad_image: OnBadImage = "refuse",
) -> Dataset:
    """Loads a dataset.

    Args:
        name_or_path: a registered name ("emoji"), a folder of images with one subfolder per
            identity or without labels, a .csv, .tsv or .jsonl manifest or table of pairs, a folder
            in the layout of Market-1501 or DeepFashion2, IMDb-Face.csv, a .rec file or its folder,
            a folder of shards, or a .toml file that describes one of them and its options.
        gallery_domain: the domain whose images form the gallery; None: the dataset's default.
        on_bad_image: "refuse" the user's data if an image cannot be read or an identity has no
            image, or "skip" them; registered datasets have no such images.

    Raises:
        UserError: there is no such dataset, or it cannot be read.
    """
    if on_bad_image not in get_args(OnBadImage):
        raise unknown_choice("value of on_bad_image", on_bad_image, get_args(OnBadImage))
    name, path = str(name_or_path), Path(name_or_path)
    if "\0" in name:
        raise UserError(
            f"{name!r} contains a NUL character, so it is neither a data set nor a path.",
            "Name a data set or a path.",
        )
    if name in DATASETS:
        return DATASETS[name](gallery_domain)
    try:
        return kept(
            ("data", name, gallery_domain, on_bad_image),
            lambda: _load(name, path, gallery_domain, on_bad_image),
        )
    except OSError as error:
        raise UserError(
            f"{name} cannot be read: {system_reason(error)}.",
            "Check that the path is right and that you are allowed to read it.",
        ) from error


def _load(name: str, path: Path, gallery_domain: str | None, on_bad_image: OnBadImage) -> Dataset:
    """The data in a file or folder.

    Raises:
        UserError: it cannot be read, or there is none.
        OSError: the system refuses the path itself, such as a name of 300 letters.
    """
    if path.suffix.lower() == DESCRIPTION_SUFFIX and path.is_file():
        described = DataDescription.load(path)
        name = str(described.path)
    else:
        options = {} if on_bad_image == "refuse" else {"on_bad_image": on_bad_image}
        described = DataDescription.model_validate({"path": path, **options})
    if gallery_domain is not None:
        described = described.model_copy(update={"gallery_domain": gallery_domain})
    if (found := format_of(described)) is not None:
        format_, inner = found
        dataset = format_.read(name, described.model_copy(update={"path": inner}))
        return with_altered_queries(dataset)
    if described.path.exists():
        raise UserError(
            f"{described.path} is neither a folder nor a .csv, .tsv, .jsonl or .toml file.",
            "Name a folder with one subfolder per identity, or a manifest: a .csv or .tsv table, "
            "or a .jsonl file with one JSON object per line.",
        )
    raise _unknown(name)


def _unknown(name: str) -> UserError:
    """The error for something that is neither a name nor a path."""
    error = unknown_choice("dataset", name, sorted(DATASETS))
    return UserError(error.what, f"{error.way_out} Or name the path of a folder or manifest.")
