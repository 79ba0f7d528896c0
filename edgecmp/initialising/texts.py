"""The texts of data.toml, gallery.toml and recipe.toml, with what was found as comments."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecmp.data.contents import NEAR
from edgecmp.data.split import TEST_SHARE, VALIDATION_SHARE
from edgecmp.decoding import MAX_MEGAPIXELS
from edgecmp.errors import UserError
from edgecmp.initialising.findings import Findings
from edgecmp.networks.onnx_description import template
from edgecmp.networks.onnx_file import OnnxFile

__all__ = ["data_text", "gallery_text", "recipe_text"]

_OPTIONAL = {
    "on_bad_image": ("skip", 'skip images that cannot be read; "refuse" is assumed'),
    "validation_share": (
        VALIDATION_SHARE,
        "of the identities outside the test split, held out for searches; more of small data",
    ),
    "test_share": (TEST_SHARE, "of all identities; assumed, if the data assigns no splits"),
    "max_megapixels": (MAX_MEGAPIXELS, "larger images count as unreadable; assumed"),
}
"""Keys of a description that may be changed, with a value and what it means."""

_COPY = (
    "A near copy is the same picture in another size or compression: at 16 x 16 pixels the root "
    f"mean square difference is at most {NEAR:g} of 255 levels."
)


def data_text(
    path: Path,
    keys: Mapping[str, Any],
    options: Sequence[str],
    findings: Findings,
    *,
    folder: Path,
    unreadable: str = "",
) -> str:
    """The text of data.toml.

    Args:
        path: of the data.
        keys: further keys of the description, which it had already.
        options: the keys that the format of the data accepts.
        findings: about the data.
        folder: that the file is written to; the path becomes relative to it.
        unreadable: what was found when unreadable images were refused; empty if there are none.

    Raises:
        UserError: the path cannot be written in TOML.
    """
    lines = [
        f"# The data for --data, described by `edgecmp init` to be edited. Found in {path}:",
        *(f"#   {what}: {found}" for what, found in findings.lines),
        *(["#   unreadable: " + unreadable] if unreadable else []),
        f"# {_COPY}",
        "",
        f"path = {_string(_relative(path, folder))}",
    ]
    for key, value in keys.items():
        relative = _relative(value, folder) if isinstance(value, Path) else value
        lines.append(f"{key} = {_value(relative)}")
    if "labels" in options and "labels" not in keys:
        lines.append(
            '# labels = "none"  # each image is its own identity, whatever folder it is in'
            if findings.labelled
            else 'labels = "none"  # assumed: each image is its own identity'
        )
    if "gallery_domain" in options and "gallery_domain" not in keys and findings.labelled:
        lines.append(_gallery_domain(findings))
    for key, (value, meaning) in _OPTIONAL.items():
        if key in options and key not in keys:
            lines.append(f"# {key} = {_value(value)}  # {meaning}")
    return _clean(lines)


def gallery_text(file: OnnxFile, *, folder: Path) -> str:
    """The text of gallery.toml for an ONNX file without a description.

    Args:
        file: the opened file.
        folder: that the text is written to.

    Raises:
        UserError: the path of the file cannot be written in TOML.
    """
    _, *rest = template(file).splitlines()
    return _clean(
        [
            "# The gallery model for --gallery, described by `edgecmp init` to be edited: compare",
            "# each line with the preprocessing of the model's training. Wrong lines make a worse",
            "# gallery, not an error.",
            "",
            f"onnx = {_string(_relative(file.path, folder))}",
            *rest,
        ]
    )


def recipe_text(findings: Findings) -> str:
    """The text of recipe.toml.

    Args:
        findings: about the data.
    """
    return _clean(
        [
            "# The recipe for --recipe of `edgecmp train gallery`, `train supernet` and `train",
            '# query`, written by `edgecmp init` to be edited. "photos" is fitted to the data when',
            f"# it is used: here {findings.images:,} images of {findings.identities:,} identities, "
            f"shorter side {findings.sides[1]:,} pixels (median).",
            "# `edgecmp recipes show photos` prints all settings; each may be set here.",
            "",
            'base = "photos"',
            "# input_size = 96          # side of the images in pixels",
            '# augmentation = "light"   # or "none" or "strong"',
            "",
            "# [schedule]",
            "# epochs = 20",
            "# lr = 0.05",
        ]
    )


def _gallery_domain(findings: Findings) -> str:
    """The line about the domain whose images form the gallery."""
    if not findings.domains:
        return "# Assumed, without domains: the first image of each identity forms the gallery."
    if "gallery" in findings.domains:
        return '# gallery_domain = "gallery"  # assumed, as there is a domain of that name'
    names = ", ".join(_string(name) for name in findings.domains)
    return (
        f"# gallery_domain = {_string(next(iter(findings.domains)))}  # one of {names}; without "
        "it, as assumed, the first image of each identity forms the gallery"
    )


def _relative(path: Path, folder: Path) -> str:
    """The path as a description in a folder names it."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _value(value: Any) -> str:
    """A value as TOML."""
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(text: str) -> str:
    """A string as TOML.

    Raises:
        UserError: it has bytes that are not Unicode.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{text!r} has bytes that are not Unicode, so it cannot be written in TOML.",
            "Rename it.",
        ) from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _clean(lines: Sequence[str]) -> str:
    """The lines as one text; control characters, which TOML forbids even in comments, escaped."""
    kept = ("".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines)
    return "\n".join(kept) + "\n"
