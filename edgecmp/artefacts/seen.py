"""SeenImages: which images without labels a network was trained on, by hashes of their content.

A bundle stores them in seen.safetensors, so that an evaluation can tell whether a gallery was known
in the training, and whether a query was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from edgecmp.data.contents import Contents, contents_of
from edgecmp.data.dataset import Retrieval
from edgecmp.data.image_set import Integers
from edgecmp.data.protocol_names import GALLERY_KNOWN, IDENTITIES_UNSEEN, ProtocolName
from edgecmp.errors import UserError
from edgecmp.files import read_tensors, sha256_tensors
from edgecmp.wording import counted

__all__ = ["SEEN", "SeenImages"]

SEEN = "seen.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SeenImages:
    """N images that a network was trained on without their identities.

    Attributes:
        digests: (N,) int64, as in `Contents`.
        files: (N,) int64, as in `Contents`.
        gallery: (N,) bool, whether each was a gallery image of the test or the hold-out.
    """

    digests: Integers
    files: Integers
    gallery: Integers

    @classmethod
    def of(cls, contents: Contents, *, gallery: bool) -> Self:
        """Images with that content, all of a gallery or none."""
        return cls(
            digests=contents.digests,
            files=contents.files,
            gallery=np.full(len(contents), gallery),
        )

    def joined(self, other: SeenImages) -> SeenImages:
        """These images and the others, each once."""
        rows = np.concatenate(
            [
                np.stack([one.digests, one.files, one.gallery.astype(np.int64)], 1)
                for one in (self, other)
            ]
        )
        digests, files, gallery = np.unique(rows, axis=0).T
        return SeenImages(digests=digests, files=files, gallery=gallery.astype(bool))

    def tensors(self) -> dict[str, torch.Tensor]:
        """What the file contains."""
        return {
            "digests": torch.from_numpy(np.ascontiguousarray(self.digests)),
            "files": torch.from_numpy(np.ascontiguousarray(self.files)),
            "gallery": torch.from_numpy(np.ascontiguousarray(self.gallery)),
        }

    @property
    def sha256(self) -> str:
        """Hash of the content, which the manifest of the network names."""
        return sha256_tensors(self.tensors())

    @classmethod
    def load(cls, folder: Path, sha256: str) -> Self:
        """Reads the file in the folder of a network.

        Raises:
            UserError: it is missing, damaged, or not the one with this hash.
        """
        path = folder / SEEN
        tensors = read_tensors(path, what="the list of images that a network was trained on")
        if sha256_tensors(tensors) != sha256:
            raise UserError(
                f"{path} is not the list of images that the manifest of the network names.",
                "Copy the complete folder again.",
            )
        return cls(**{name: tensor.numpy() for name, tensor in tensors.items()})

    def protocol_of(self, task: Retrieval, *, network: str) -> ProtocolName:
        """Whether some of the gallery's images were trained on.

        Args:
            task: its images are read once.
            network: name of the network, for the error.

        Raises:
            UserError: a query was trained on.
        """
        queries = contents_of(task.queries)
        known = Contents(
            digests=self.digests,
            files=self.files,
            small=np.zeros((0, queries.small.shape[1]), np.uint8),
            sizes=np.zeros((0, 2), np.int64),
        )
        if seen := int(queries.exact_in(known).sum()):
            raise UserError(
                f"{network} was trained on {seen:,} of the {counted(len(queries), 'query')}, as "
                "images without labels.",
                "Remove these images from the data, or train the network without them.",
            )
        gallery = contents_of(task.gallery).exact_in(known).any()
        return GALLERY_KNOWN if gallery else IDENTITIES_UNSEEN
