"""A data set described in a small TOML file: where the images are, and how to read them.

    path = "photos"            # relative to this file
    format = "folder"          # if unclear from the path; see docs/reference/data-formats.md
    labels = "none"            # no two images show the same: folders are albums, not identities
    gallery_domain = "shop"    # the domain whose images form the gallery
    on_bad_image = "skip"      # skip unreadable images; "refuse" is the default
    validation_share = 0.05    # of the training identities, held out for searches; 0.1 by default
    test_share = 0.2           # of all identities, if the data has no test split; 0.4 by default
    max_megapixels = 500       # larger images count as unreadable; 300 by default

Every command that is given the file (`--data photos.toml`) reads the same data in the same way. All
keys except `path` are optional. Some formats have additional keys: see `DataDescription`.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from edgecmp.data.boxes import BoxFormat
from edgecmp.data.folder_labels import Labels
from edgecmp.data.user_dataset import OnBadImage
from edgecmp.decoding import MAX_MEGAPIXELS
from edgecmp.documents import read_description

__all__ = ["DESCRIPTION_SUFFIX", "DataDescription"]

DESCRIPTION_SUFFIX = ".toml"


class DataDescription(BaseModel):
    """The keys of the file; see the module's docstring.

    Attributes:
        labels: for folder and manifest: "none" if each image is its own identity, "identities" if
            sub-folders are identities although they are called like albums; None: by their names.
        box_format: for manifest: what a box in one column is, "xyxy" (x1, y1, x2, y2) or "xywh"
            (x, y, width, height).
        category_in_key: for deepfashion2: whether items of the same pair and style are different
            products if their categories differ; the official evaluation ignores categories.
        images: for imdb-face: the folder of the images; by default that of the CSV file.
        margin: for imdb-face: margin added on each side of a face's box, relative to its width and
            height.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    format: str | None = None
    labels: Labels | None = None
    gallery_domain: str | None = None
    on_bad_image: OnBadImage = "refuse"
    validation_share: float | None = Field(None, gt=0, lt=1)
    test_share: float | None = Field(None, ge=0, lt=1)
    max_megapixels: float = Field(MAX_MEGAPIXELS, gt=0, le=10_000)
    box_format: BoxFormat | None = None
    category_in_key: bool = False
    images: Path | None = None
    margin: float = Field(0.0, ge=0, le=4)

    @classmethod
    def load(cls, file: Path) -> DataDescription:
        """Reads the file; `path` and `images` become relative to the working directory.

        Raises:
            UserError: the file is not TOML, or a key is missing, unknown or invalid.
        """
        return read_description(
            cls,
            file,
            what="a data set",
            way_out='Write a line such as path = "photos"; '
            f"the keys are {', '.join(cls.model_fields)}.",
            paths=("path", "images"),
        )
