"""The table of data formats: how each is recognised, its options, and its reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecmp.data.dataset import Dataset
from edgecmp.data.deepfashion2 import is_deepfashion2, read_deepfashion2
from edgecmp.data.description import DataDescription
from edgecmp.data.folder import read_folder
from edgecmp.data.imdb_face import is_imdb_face, read_imdb_face
from edgecmp.data.manifest import MANIFEST_SUFFIXES, read_manifest
from edgecmp.data.shards import is_shards, open_shards
from edgecmp.data.user_dataset import user_dataset
from edgecmp.errors import UserError, unknown_choice

__all__ = ["FORMATS", "Format", "format_of"]

_SPLIT_BY_SHARE = frozenset({"gallery_domain", "on_bad_image", "validation_share", "test_share"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One way in which labelled images are stored on disk.

    Args:
        recognises: whether a path looks like this format.
        read: takes a name for messages and the description, and returns the dataset.
        options: the keys of a description that it accepts besides `path` and `format`.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[str, DataDescription], Dataset]
    options: frozenset[str]


def _shards(name: str, described: DataDescription) -> Dataset:
    return open_shards(described.path, name=name, gallery_domain=described.gallery_domain)


def _deepfashion2(name: str, described: DataDescription) -> Dataset:
    records = read_deepfashion2(
        described.path,
        category_in_key=described.category_in_key,
        validation_share=described.validation_share,
    )
    return user_dataset(
        name,
        records,
        gallery_domain=described.gallery_domain or "shop",
        on_bad_image=described.on_bad_image,
    )


def _imdb_face(name: str, described: DataDescription) -> Dataset:
    return user_dataset(
        name,
        read_imdb_face(described.path, images=described.images, margin=described.margin),
        gallery_domain=described.gallery_domain,
        on_bad_image=described.on_bad_image,
        validation_share=0.05 if described.validation_share is None else described.validation_share,
        test_share=described.test_share or 0.0,
    )


def _folder(name: str, described: DataDescription) -> Dataset:
    records = read_folder(described.path, skip_empty=described.on_bad_image == "skip")
    return user_dataset(name, records, **described.model_dump(include=set(_SPLIT_BY_SHARE)))


def _manifest(name: str, described: DataDescription) -> Dataset:
    records = read_manifest(described.path)
    return user_dataset(name, records, **described.model_dump(include=set(_SPLIT_BY_SHARE)))


FORMATS = {
    "shards": Format(
        recognises=is_shards,
        read=_shards,
        options=frozenset({"gallery_domain"}),
    ),
    "deepfashion2": Format(
        recognises=is_deepfashion2,
        read=_deepfashion2,
        options=frozenset(
            {"category_in_key", "gallery_domain", "on_bad_image", "validation_share"}
        ),
    ),
    "imdb-face": Format(
        recognises=is_imdb_face,
        read=_imdb_face,
        options=_SPLIT_BY_SHARE | {"images", "margin"},
    ),
    "folder": Format(recognises=Path.is_dir, read=_folder, options=_SPLIT_BY_SHARE),
    "manifest": Format(
        recognises=lambda path: path.suffix.lower() in MANIFEST_SUFFIXES,
        read=_manifest,
        options=_SPLIT_BY_SHARE,
    ),
}
"""The formats by name; a path is read by the first one that recognises it."""


def format_of(described: DataDescription) -> Format | None:
    """The format that a description names, or else the first that recognises its path.

    Raises:
        UserError: there is no such format, or it does not accept a key of the description.
    """
    name = described.format
    if name is None:
        name = next((key for key, one in FORMATS.items() if one.recognises(described.path)), None)
        if name is None:
            return None
    elif name not in FORMATS:
        raise unknown_choice("format", name, FORMATS)
    unused = described.model_fields_set - FORMATS[name].options - {"path", "format"}
    if unused:
        raise UserError(
            f"{described.path} has the format {name}, which has no key "
            f"{' and no key '.join(sorted(unused))}.",
            f"Use only its keys: path, format, {', '.join(sorted(FORMATS[name].options))}.",
        )
    return FORMATS[name]
