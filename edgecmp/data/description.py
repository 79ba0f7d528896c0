"""A data set described in a small TOML file: where the images are, and how they are to be read.

    path = "photos"            # a folder or a .csv/.jsonl manifest, relative to this file
    gallery_domain = "shop"    # optional: the domain whose images form the gallery
    on_bad_image = "skip"      # optional: leave unreadable images out; "refuse" is the default

One file, and every command reads the same data the same way: `--data photos.toml`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edgecmp.data.own import OnBadImage
from edgecmp.errors import UserError

__all__ = ["DESCRIPTION_SUFFIX", "DataDescription"]

DESCRIPTION_SUFFIX = ".toml"


class DataDescription(BaseModel):
    """What the file says; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    gallery_domain: str | None = None
    on_bad_image: OnBadImage = "refuse"

    @classmethod
    def load(cls, file: Path) -> DataDescription:
        """Reads the file; `path` is then relative to the working directory.

        Raises:
            UserError: it is not TOML, or a key is missing, unknown or wrong.
        """
        try:
            described = cls.model_validate(tomllib.loads(file.read_text()))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(
                f"{file} cannot be read as a description of a data set: {error}.",
                'It needs a line like: path = "photos".',
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UserError(
                f"{file} does not describe a data set: {where}: {first['msg']}.",
                'Its keys are path, gallery_domain and on_bad_image ("refuse" or "skip").',
            ) from error
        return described.model_copy(update={"path": file.parent / described.path})
