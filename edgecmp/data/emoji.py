"""The embedded dataset: 1,814 emoji as drawn by ten vendors, 64x64 pixels.

An identity is a Unicode emoji, and an image is one vendor's drawing of it; Google's drawings are
the gallery. `scripts/build_emoji.py` builds the file from public packages; the licences are in
assets/LICENSES.md.

The file is an .npz without pickled objects: `blob` is the concatenation of all WebP files and
`offsets` (N + 1,) where each begins; `identity` (N,) and `domain` (N,) are indices into
`identity_names` (code points, merged emoji joined by "+") and `domain_names`; `split` is 0 for
identities of train, 1 of validation and 2 of test.
"""

from __future__ import annotations

import functools
import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from edgecmp.data.dataset import Dataset
from edgecmp.data.image_set import ImageSet, Integers, Pixels
from edgecmp.data.registry import register_dataset
from edgecmp.decoding import decode
from edgecmp.errors import UserError, unknown_choice
from edgecmp.preprocessing import Preprocessing

__all__ = ["CONTENT_SHA256", "EMOJI_FILE", "EmojiFile", "emoji"]

EMOJI_FILE = Path(__file__).parent / "assets" / "emoji_64.npz"
CONTENT_SHA256 = "f9ea0a96395e12505540530b053f03f9449b1756ed6dd83e63ca22c2f38ff8d8"
_SIDE = 64
_GALLERY = "google"
_ARRAYS = ("blob", "offsets", "identity", "domain", "identity_names", "domain_names", "split")


class EmojiFile:
    """The images of an .npz as described above, decoded once and cached (160 MB for all of them).

    Args:
        path: the file.
        content_sha256: the expected hash of its arrays.

    Raises:
        UserError: the file is missing, truncated or changed.
    """

    def __init__(self, path: Path, content_sha256: str) -> None:
        self.arrays = _read(path)
        self.fingerprint = _hash(self.arrays)
        if self.fingerprint != content_sha256:
            raise _damaged(path)
        vendors, names = self.arrays["domain_names"], self.arrays["identity_names"]
        self.keys = tuple(
            f"{vendors[domain]}/{names[identity]}"
            for identity, domain in zip(self.arrays["identity"], self.arrays["domain"], strict=True)
        )
        self.shards: Integers | None = None
        self._blob = self.arrays["blob"].tobytes()
        self._decoded = np.empty((len(self.keys), _SIDE, _SIDE, 3), np.uint8)
        self._is_decoded = np.zeros(len(self.keys), dtype=bool)

    def pixels(self, rows: Integers, preprocessing: Preprocessing) -> Pixels:
        """The images of `rows` (n,), prepared: (n, H, W, 3) uint8."""
        for row in np.unique(rows[~self._is_decoded[rows]]):
            self._decoded[row] = self.image(row)
            self._is_decoded[row] = True
        if preprocessing.keeps(_SIDE, _SIDE):
            return self._decoded[rows]
        prepared = np.empty((len(rows), *preprocessing.shape), np.uint8)
        for place, row in enumerate(rows):
            prepared[place] = preprocessing.fit(Image.fromarray(self._decoded[row]))
        return prepared

    def file(self, row: int) -> Path | None:
        """None: all drawings are in one file."""
        return None

    def image(self, row: int) -> Image.Image:
        """One drawing, RGB."""
        offsets = self.arrays["offsets"]
        return decode(self._blob[offsets[row] : offsets[row + 1]])


def _read(path: Path) -> dict[str, Integers]:
    """The arrays of the file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in _ARRAYS}
    except FileNotFoundError as error:
        raise UserError(
            f"The embedded emoji set {path} is missing.", "Reinstall edgecmp."
        ) from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(
        f"The embedded emoji set {path} is truncated or was changed.", "Reinstall edgecmp."
    )


def _hash(arrays: dict[str, Integers]) -> str:
    """SHA-256 over every array of the file."""
    digest = hashlib.sha256()
    for name in _ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


@functools.cache
def _shipped() -> EmojiFile:
    """The shipped file, opened once per process so that its images are decoded once."""
    return EmojiFile(EMOJI_FILE, CONTENT_SHA256)


@register_dataset("emoji")
def emoji(gallery_domain: str | None = None) -> Dataset:
    """The embedded set: 979 training, 109 validation and 726 test identities.

    Args:
        gallery_domain: the vendor whose drawings form the gallery; None: Google.

    Raises:
        UserError: there is no such vendor, or the file is missing or damaged.
    """
    source = _shipped()
    vendors = tuple(str(vendor) for vendor in source.arrays["domain_names"])
    gallery = gallery_domain or _GALLERY
    if gallery not in vendors:
        raise unknown_choice("gallery domain", gallery, vendors)
    whole = ImageSet(
        name="emoji",
        identities=source.arrays["identity"].astype(np.int64),
        identity_names=tuple(str(name) for name in source.arrays["identity_names"]),
        domains=source.arrays["domain"].astype(np.int16),
        domain_names=vendors,
        source=source,
        rows=np.arange(len(source.keys), dtype=np.int64),
    )
    split = source.arrays["split"][source.arrays["identity"]]
    train, validation, test = (whole.subset(split == part).relabelled() for part in range(3))
    return Dataset(
        name="emoji", train=train, validation=validation, test=test, gallery_domain=gallery
    )
