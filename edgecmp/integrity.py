"""The seal of an exported file: a hash over everything in it, so that one changed bit is found.

The metadata document inside the file has the field `content_sha256`: the SHA-256 of all bytes of
the file, in which the 64 digits of the field themselves count as zeros. The digits are found by the
text before them, without a parser of the format, so a file is verified before any reader sees it.
Of a package, the names and contents of all files are hashed, of its manifest the JSON document,
which coremltools writes in another order when it opens a package.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgecmp.errors import UserError, system_reason
from edgecmp.files import read_bytes
from edgecmp.storage import disk_errors

__all__ = ["FORMAT", "KEY", "UNSEALED", "check_format", "package_files", "seal", "verify"]

FORMAT: Final = "edgecmp-export/3"
"""The format of the metadata document."""

KEY = "edgecmp"
"""The name of the document among the metadata of a file of any format."""

UNSEALED = "0" * 64
"""The field before `seal`."""

SEAL = re.compile(rb'"content_sha256": "([0-9a-f]{64})"')
"""JSON escapes quotation marks within texts, so no text of a document contains this."""

VERSION = re.compile(rb'"format": "edgecmp-export/(\d{1,6})"')
SIGNS = re.compile(
    rb'"content_sha256"|"preprocessing_fingerprint"|"weights_sha256"|"edgecmp-export/\d'
)
"""Texts of a document: with one of them but no seal, a file was changed."""

SIGN_WORDS = (b'_sha256"', b"preprocessing_fingerprint", b"edgecmp-export/")
"""Parts of `SIGNS`, which large files of other tools are searched for quickly."""

LITTER = re.compile(r"\.DS_Store|\._.*")
"""Files that macOS adds to folders; they are no part of a package."""

MANIFEST = "Manifest.json"

MOST_FILES = 10_000
"""A folder with more is no model package; those of edgecmp have three."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seal:
    """A hash in a file.

    Attributes:
        name: of the file in its package.
        start: where its digits are.
        digits: the 64 digits.
    """

    name: str
    start: int
    digits: bytes


def seal(path: Path) -> None:
    """Writes the hash into a file or package that is complete otherwise.

    Args:
        path: of the file or package; the field in its document is `UNSEALED`.

    Raises:
        ValueError: it does not contain the document exactly once, as `Metadata.write` returned it.
        UserError: the file cannot be written.
    """
    contents = _contents(path)
    found = _seals(contents)
    if len(found) != 1 or found[0].digits != UNSEALED.encode():
        raise ValueError(f"{path} does not contain the bytes of Metadata.write() exactly once.")
    place = path / found[0].name
    with disk_errors(place), place.open("r+b") as file:
        file.seek(found[0].start)
        file.write(_sha256(contents, found[0]).encode())
        file.flush()
        os.fsync(file.fileno())


def verify(path: Path) -> bool:
    """Checks that an exported file or package is as it was written.

    Returns:
        Whether edgecmp exported it; False for files of other tools, which have no such hash.

    Raises:
        UserError: it was changed since it was written, was written in another format version, or
            cannot be read.
    """
    contents = _contents(path)
    found = _seals(contents)
    if len(found) == 1 and _sha256(contents, found[0]).encode() == found[0].digits:
        return True
    if not found and not any(map(_has_sign, contents.values())):
        return False
    if not found:
        versions = {match[1] for text in contents.values() for match in VERSION.finditer(text)}
        for version in versions:
            check_format(f"edgecmp-export/{int(version)}", str(path))
    raise UserError(
        f"{path} was changed since it was written.",
        "Copy it again, or export it again with `edgecmp export`.",
    )


def check_format(given: object, source: str) -> None:
    """Refuses a metadata document of another version.

    Args:
        given: its field `format`.
        source: the file, for errors.

    Raises:
        UserError: the field is not `FORMAT`; the message says whether it is older or newer.
    """
    if given == FORMAT:
        return
    again = "Export it again with `edgecmp export`."
    version = re.fullmatch(r"edgecmp-export/(\d{1,6})", given) if isinstance(given, str) else None
    if version is None:
        raise UserError(
            f"The metadata in {source} is not that of an edgecmp export (format {given!r}).", again
        )
    if int(version[1]) < int(FORMAT.rpartition("/")[2]):
        raise UserError(f"{source} was made by an older edgecmp ({given}, now {FORMAT}).", again)
    raise UserError(
        f"{source} was made by a newer edgecmp ({given}, this one reads {FORMAT}).",
        "Update with `pip install --upgrade edgecmp`.",
    )


def package_files(package: Path) -> list[str]:
    """The names of a package's files relative to it, sorted.

    Raises:
        UserError: it contains a link, pipe or device, or cannot be read.
    """
    try:
        return sorted(_names(package))
    except OSError as error:
        raise UserError(
            f"{package} cannot be read: {system_reason(error)}.", "Check the path."
        ) from error


def _names(package: Path) -> Iterator[str]:
    waiting, count = [""], 0
    while waiting:
        folder = waiting.pop()
        for entry in os.scandir(package / folder):
            name, mode = f"{folder}{entry.name}", entry.stat(follow_symlinks=False).st_mode
            count += 1
            if count > MOST_FILES:
                raise UserError(
                    f"{package} is not a model package: it contains more than {MOST_FILES} files.",
                    "Name a model package.",
                )
            if stat.S_ISDIR(mode):
                waiting.append(f"{name}/")
            elif not stat.S_ISREG(mode):
                raise UserError(
                    f"{package} is not a model package: {name} in it is a link, pipe or device.",
                    "Copy the package again, with the files themselves.",
                )
            elif not LITTER.fullmatch(entry.name):
                yield name


def _contents(path: Path) -> dict[str, bytes]:
    """The content of each file of a package, by name; a file alone has the name ""."""
    if not path.is_dir():
        return {"": read_bytes(path, what="a model")}
    contents = {
        name: read_bytes(path / name, what="a part of a model package")
        for name in package_files(path)
    }
    if MANIFEST in contents:
        contents[MANIFEST] = _canonical(contents[MANIFEST])
    return contents


def _canonical(manifest: bytes) -> bytes:
    """A JSON document in one form, whatever the order of its keys; other bytes as they are."""
    try:
        return json.dumps(json.loads(manifest), sort_keys=True).encode()
    except (ValueError, RecursionError):
        return manifest


def _seals(contents: Mapping[str, bytes]) -> list[_Seal]:
    return [
        _Seal(name=name, start=match.start(1), digits=match[1])
        for name, content in contents.items()
        for match in SEAL.finditer(content)
    ]


def _has_sign(content: bytes) -> bool:
    """Whether a file contains one of the texts of exported files."""
    return any(word in content for word in SIGN_WORDS) and SIGNS.search(content) is not None


def _sha256(contents: Mapping[str, bytes], own: _Seal) -> str:
    """The hash over all files, with the digits of the seal itself as zeros."""
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() if name else b"")
        view, start = memoryview(content), own.start if name == own.name else len(content)
        digest.update(view[:start])
        if name == own.name:
            digest.update(UNSEALED.encode())
            digest.update(view[start + len(UNSEALED) :])
    return digest.hexdigest()
