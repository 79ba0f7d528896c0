"""The document inside every exported file: what the file is and what it was made from."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import sha256_json
from edgecmp.networks.form import Form, form_from_dict

if TYPE_CHECKING:
    from edgecmp.preprocessing import Preprocessing

__all__ = ["FORMAT", "KEY", "Metadata"]

FORMAT: Final = "edgecmp-export/2"
KEY = "edgecmp"
"""The name under which each format stores the document."""

AGAIN = "Export it again with `edgecmp export`."


class Metadata(BaseModel):
    """What an exported file says about itself; one JSON document, the same in every format.

    Attributes:
        target: "tflite", "coreml" or "onnx".
        precision: what the numbers are stored as, such as "fp32" or "int8".
        input: "tensor": float32 values that went through the preprocessing; "image": pixels in
            0..255 (S, S, 3), which the file normalises itself.
        options: what else the writer was told or decided, such as the system it needs.
        calibration: the real images that the writer looked at (data, fingerprint, images, seed);
            None if it looked at none.
        architecture: `Form.to_dict()` of the network.
        preprocessing: `Preprocessing.to_dict()`: how an image becomes the network's input.
        preprocessing_fingerprint: SHA-256 of `preprocessing`; a changed document is refused.
        gallery_sha256: weights of the gallery model that the network is compatible with, if any.
        weights_sha256: weights of the network before it was lowered.
        provenance: versions and the command line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["edgecmp-export/2"] = FORMAT
    target: str
    precision: str
    input: Literal["tensor", "image"]
    options: dict[str, str] = Field(default_factory=dict)
    calibration: dict[str, str | int] | None = None
    architecture: dict[str, Any]
    preprocessing: dict[str, Any]
    preprocessing_fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    gallery_sha256: str | None = Field(pattern="^[0-9a-f]{64}$")
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    provenance: dict[str, str]

    def write(self) -> bytes:
        """The document as UTF-8 JSON with sorted keys: equal metadata give equal bytes."""
        return json.dumps(self.model_dump(), sort_keys=True, indent=1).encode()

    @classmethod
    def read(cls, data: bytes, *, source: str) -> Metadata:
        """Reads what `write` gave; `source` names the file in errors.

        Raises:
            UserError: not such a document, another version of it, or changed since it was written.
        """
        try:
            document = json.loads(data)
        except ValueError as error:
            raise UserError(
                f"The edgecmp metadata in {source} is not JSON ({error}).", AGAIN
            ) from error
        _check_format(document.get("format") if isinstance(document, dict) else None, source)
        metadata = parse_document(
            cls,
            document,
            refusal=f"The edgecmp metadata in {source} is damaged",
            way_out=AGAIN,
        )
        if sha256_json(metadata.preprocessing) != metadata.preprocessing_fingerprint:
            raise UserError(
                f"The preprocessing stored in {source} does not match its fingerprint: "
                "the file was changed after it was written.",
                AGAIN,
            )
        return metadata

    def build_architecture(self, *, source: str = "The exported file") -> Form:
        """The stored architecture as an object."""
        return form_from_dict(self.architecture, source=source)

    def build_preprocessing(self) -> Preprocessing:
        """The stored preprocessing as an object."""
        from edgecmp.preprocessing import Preprocessing

        return Preprocessing.from_dict(self.preprocessing)


def _check_format(given: object, source: str) -> None:
    """Refuses documents of another version, saying which side is the older one."""
    if given == FORMAT:
        return
    version = re.fullmatch(r"edgecmp-export/(\d+)", given) if isinstance(given, str) else None
    if version is None:
        raise UserError(f"The metadata in {source} is not an edgecmp export's ({given!r}).", AGAIN)
    if int(version[1]) < int(FORMAT.rpartition("/")[2]):
        raise UserError(f"{source} was made by an older edgecmp ({given}, now {FORMAT}).", AGAIN)
    raise UserError(
        f"{source} was made by a newer edgecmp ({given}, this one reads {FORMAT}).",
        "Update with `pip install --upgrade edgecmp`.",
    )
