"""The table of formats: how each is recognised, which options it has, what reads it."""

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
from edgecmp.data.user_dataset import own_dataset
from edgecmp.errors import UserError, unknown_choice

__all__ = ["FORMATS", "Format", "format_of"]

_SPLIT_BY_SHARE = frozenset({"gallery_domain", "on_bad_image", "validation_share", "test_share"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One way in which labelled images lie on a disk.

    Args:
        recognises: whether a path looks like it.
        read: the dataset of that name, as described.
        options: the keys of a description that it takes, `path` and `format` apart.
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
    return own_dataset(
        name,
        records,
        gallery_domain=described.gallery_domain or "shop",
        on_bad_image=described.on_bad_image,
    )


def _imdb_face(name: str, described: DataDescription) -> Dataset:
    return own_dataset(
        name,
        read_imdb_face(described.path, images=described.images, margin=described.margin),
        gallery_domain=described.gallery_domain,
        on_bad_image=described.on_bad_image,
        validation_share=0.05 if described.validation_share is None else described.validation_share,
        test_share=described.test_share or 0.0,
    )


def _folder(name: str, described: DataDescription) -> Dataset:
    records = read_folder(described.path, skip_empty=described.on_bad_image == "skip")
    return own_dataset(name, records, **described.model_dump(include=set(_SPLIT_BY_SHARE)))


def _manifest(name: str, described: DataDescription) -> Dataset:
    records = read_manifest(described.path)
    return own_dataset(name, records, **described.model_dump(include=set(_SPLIT_BY_SHARE)))


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
"""By name; the first that recognises a path reads it."""


def format_of(described: DataDescription) -> Format | None:
    """The format that a description names, or the first that recognises its path.

    Raises:
        UserError: no such format, or a key that it does not take.
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
            f"{described.path} is read as {name}, which has no {' and no '.join(sorted(unused))}.",
            f"Its keys are path, format, {', '.join(sorted(FORMATS[name].options))}.",
        )
    return FORMATS[name]
