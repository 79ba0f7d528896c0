"""A data set described in a small TOML file: where the images are, and how they are to be read.

    path = "photos"            # relative to this file
    format = "folder"          # optional where the path tells it (see docs/data.md)
    gallery_domain = "shop"    # the domain whose images form the gallery
    on_bad_image = "skip"      # leave unreadable images out; "refuse" is the default
    validation_share = 0.05    # of the training identities, held out for the search; 0.1 by default
    test_share = 0.2           # of all identities, where the data has no test split; 0.4 by default

One file, and every command reads the same data the same way: `--data photos.toml`. All keys but
path are optional. A format may have keys of its own: see `DataDescription`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from edgecmp.data.user_dataset import OnBadImage
from edgecmp.documents import parse_document, read_toml

__all__ = ["DESCRIPTION_SUFFIX", "DataDescription"]

DESCRIPTION_SUFFIX = ".toml"


class DataDescription(BaseModel):
    """What the file says; see the module's docstring.

    Attributes:
        category_in_key: deepfashion2: tell items of one pair and style, but of two categories
            apart; the official evaluation does not.
        images: imdb-face: the folder of the images; that of the CSV by default.
        margin: imdb-face: what is added on each side of a face's box, in widths and heights of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    format: str | None = None
    gallery_domain: str | None = None
    on_bad_image: OnBadImage = "refuse"
    validation_share: float | None = Field(None, gt=0, lt=1)
    test_share: float | None = Field(None, ge=0, lt=1)
    category_in_key: bool = False
    images: Path | None = None
    margin: float = Field(0.0, ge=0, le=4)

    @classmethod
    def load(cls, file: Path) -> DataDescription:
        """Reads the file; `path` and `images` are then relative to the working directory.

        Raises:
            UserError: it is not TOML, or a key is missing, unknown or wrong.
        """
        example = 'It needs a line like: path = "photos".'
        described = parse_document(
            cls,
            read_toml(file, what="a description of a data set", way_out=example),
            refusal=f"{file} does not describe a data set",
            way_out=f"Its keys are {', '.join(cls.model_fields)}.",
            keys_of=file,
        )
        moved: dict[str, Any] = {"path": file.parent / described.path}
        if described.images is not None:
            moved["images"] = file.parent / described.images
        return described.model_copy(update=moved)
