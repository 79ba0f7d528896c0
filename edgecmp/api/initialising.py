"""Describing a user's data and gallery model before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.initialising.init import InitReport

__all__ = ["init"]


def init(
    path: PathLike, *, out: PathLike, gallery: PathLike | None = None, force: bool = False
) -> InitReport:
    """Looks at data and a gallery model, and writes descriptions of them to edit.

    data.toml describes the data and recipe.toml the trainings; gallery.toml describes an ONNX file
    that has no description yet. What was found stands in them as comments: sizes, domains, copies
    of images, near copies of queries in the gallery, identities that give no query.

    Args:
        path: data as `load_data` takes it, but not the name of an embedded set.
        out: folder for the files.
        gallery: a gallery model: its folder, .onnx file or .toml description.
        force: replace files that are there.

    Raises:
        UserError: the path is an address or its data cannot be read, the gallery model cannot be
            used, or a file is there already.
    """
    from edgecmp.initialising.init import initialise

    return initialise(path, out=out, gallery=gallery, force=force)
