"""The images that a gallery index was built from, as its manifest names them."""

from __future__ import annotations

from edgecmp.data import ImageSet, load_dataset
from edgecmp.errors import UserError
from edgecmp.gallery.index_manifest import IndexManifest

__all__ = ["images_of_index"]


def images_of_index(
    manifest: IndexManifest, data: str | None = None, *, required: bool = True
) -> ImageSet | None:
    """The gallery images of the data that an index was built from.

    Args:
        manifest: of the index.
        data: where the images are, as `load_dataset` takes it; None: where the index was built
            from.
        required: whether images that are not there, or were changed since, are an error.

    Returns:
        The images in the order of the index; None if they are not there and not required. If `data`
        is given, they are always required.

    Raises:
        UserError: the images are required, and cannot be read or are others.
    """
    required = required or data is not None
    name = manifest.data["name"] if data is None else data
    try:
        images = load_dataset(name).retrieval("test").gallery
    except UserError as error:
        if data is not None:
            raise
        if not required:
            return None
        raise UserError(
            f"The gallery's images cannot be read from {name}: {error.what}",
            "Name the data that the index was built from with --data.",
        ) from error
    if images.fingerprint == manifest.data["fingerprint"]:
        return images
    if required:
        raise UserError(
            f"{name} does not contain the images that the index was built from.",
            "Name that data with --data, or build the index again with `edgecmp gallery build`.",
        )
    return None
