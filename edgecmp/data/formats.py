"""The table of data formats: how each is recognised, its options, and its reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecmp.data.dataset import Dataset
from edgecmp.data.deepfashion2 import is_deepfashion2, read_deepfashion2
from edgecmp.data.description import DataDescription
from edgecmp.data.folder import innermost, read_folder
from edgecmp.data.imdb_face import is_imdb_face, read_imdb_face
from edgecmp.data.manifest import read_manifest
from edgecmp.data.manifest_rows import MANIFEST_SUFFIXES
from edgecmp.data.market1501 import is_market1501, read_market1501
from edgecmp.data.pairs import is_pairs, read_pairs
from edgecmp.data.record_files import is_record_file, open_record_file
from edgecmp.data.shards import is_shards, open_shards
from edgecmp.data.user_dataset import user_dataset
from edgecmp.errors import UserError, unknown_choice
from edgecmp.progress import say

__all__ = ["FORMATS", "Format", "format_of"]

_IMAGES = frozenset({"on_bad_image", "max_megapixels"})
_BY_SHARE = _IMAGES | {"validation_share", "test_share"}
_SPLIT_BY_SHARE = _BY_SHARE | {"gallery_domain"}


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
        skip_bad=described.on_bad_image == "skip",
    )
    return user_dataset(
        name,
        records,
        gallery_domain=described.gallery_domain or "shop",
        on_bad_image=described.on_bad_image,
        max_megapixels=described.max_megapixels,
    )


def _imdb_face(name: str, described: DataDescription) -> Dataset:
    records = read_imdb_face(
        described.path,
        images=described.images,
        margin=described.margin,
        skip_bad=described.on_bad_image == "skip",
    )
    return user_dataset(
        name,
        records,
        gallery_domain=described.gallery_domain,
        on_bad_image=described.on_bad_image,
        validation_share=0.05 if described.validation_share is None else described.validation_share,
        test_share=described.test_share or 0.0,
        max_megapixels=described.max_megapixels,
    )


def _market1501(name: str, described: DataDescription) -> Dataset:
    return user_dataset(
        name,
        read_market1501(described.path),
        on_bad_image=described.on_bad_image,
        validation_share=described.validation_share,
        max_megapixels=described.max_megapixels,
    )


def _record(name: str, described: DataDescription) -> Dataset:
    return open_record_file(
        described.path,
        name=name,
        on_bad_image=described.on_bad_image,
        validation_share=0.05 if described.validation_share is None else described.validation_share,
        test_share=described.test_share or 0.0,
        max_megapixels=described.max_megapixels,
    )


def _folder(name: str, described: DataDescription) -> Dataset:
    records = read_folder(
        described.path, labels=described.labels, skip_empty=described.on_bad_image == "skip"
    )
    return user_dataset(name, records, **described.model_dump(include=set(_SPLIT_BY_SHARE)))


def _manifest(name: str, described: DataDescription) -> Dataset:
    records = read_manifest(
        described.path, box_format=described.box_format, labels=described.labels
    )
    return user_dataset(name, records, **described.model_dump(include=set(_SPLIT_BY_SHARE)))


def _pairs(name: str, described: DataDescription) -> Dataset:
    records = read_pairs(described.path)
    return user_dataset(name, records, **described.model_dump(include=set(_BY_SHARE)))


FORMATS = {
    "shards": Format(
        recognises=is_shards,
        read=_shards,
        options=frozenset({"gallery_domain"}),
    ),
    "deepfashion2": Format(
        recognises=is_deepfashion2,
        read=_deepfashion2,
        options=_IMAGES | {"category_in_key", "gallery_domain", "validation_share"},
    ),
    "imdb-face": Format(
        recognises=is_imdb_face,
        read=_imdb_face,
        options=_SPLIT_BY_SHARE | {"images", "margin"},
    ),
    "market1501": Format(
        recognises=is_market1501,
        read=_market1501,
        options=_IMAGES | {"validation_share"},
    ),
    "record": Format(
        recognises=is_record_file,
        read=_record,
        options=_BY_SHARE,
    ),
    "folder": Format(recognises=Path.is_dir, read=_folder, options=_SPLIT_BY_SHARE | {"labels"}),
    "pairs": Format(recognises=is_pairs, read=_pairs, options=_BY_SHARE),
    "manifest": Format(
        recognises=lambda path: path.suffix.lower() in MANIFEST_SUFFIXES,
        read=_manifest,
        options=_SPLIT_BY_SHARE | {"box_format", "labels"},
    ),
}
"""The formats by name; a path is read by the first one that recognises it."""


def format_of(described: DataDescription) -> tuple[Format, Path] | None:
    """The format that a description names, or else the first that recognises its path.

    Returns:
        The format and the path that is to be read: the described one, or a folder inside of it
        that alone contains everything. None if no format recognises the path.

    Raises:
        UserError: there is no such format, or it does not accept a key of the description.
    """
    name, path = described.format, described.path
    if name is None:
        name = _recognised(path)
        if name == "folder":
            inner = innermost(path)
            name = _recognised(inner)
            if name != "folder":
                say(f"{path} contains only {inner.relative_to(path)}, which is read instead.")
                path = inner
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
    return FORMATS[name], path


def _recognised(path: Path) -> str | None:
    """The name of the first format that recognises a path."""
    return next((name for name, one in FORMATS.items() if one.recognises(path)), None)
