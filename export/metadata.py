"""Metadata: the document inside every exported file, about its content and its origin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecmp.data.protocol_names import IDENTITIES_UNSEEN, ProtocolName
from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import sha256_json
from edgecmp.integrity import FORMAT, UNSEALED, check_format
from edgecmp.networks.form import Form, form_from_dict

if TYPE_CHECKING:
    from edgecmp.preprocessing import Preprocessing

__all__ = ["Metadata"]

EXPORT_AGAIN = "Export it again with `edgecmp export`."


class Metadata(BaseModel):
    """The metadata of an exported file; one JSON document, the same in every format.

    Attributes:
        target: "tflite", "coreml" or "onnx".
        precision: of the stored numbers, such as "fp32" or "int8".
        input: "tensor": float32 values after the preprocessing; "image": pixels in 0..255
            (S, S, 3), which the file normalises itself.
        options: further settings and decisions of the writer, such as the system that it needs.
        calibration: the real images that the writer used (data, fingerprint, images, seed); None
            if it used none.
        architecture: `Form.to_dict()` of the network.
        preprocessing: `Preprocessing.to_dict()`: how an image becomes the network's input.
        preprocessing_fingerprint: SHA-256 of `preprocessing`; a changed document is refused.
        gallery_sha256: weights of the gallery model that the network is compatible with, if any.
        weights_sha256: weights of the network before it was lowered.
        protocol_name: "gallery known" if the network was trained on images of a gallery, whose
            figures cannot be compared with those of "identities unseen".
        provenance: versions and the command line.
        content_sha256: over the whole file, see `edgecmp.integrity`; zeros until it is sealed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["edgecmp-export/3"] = FORMAT
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
    protocol_name: ProtocolName = IDENTITIES_UNSEEN
    provenance: dict[str, str]
    content_sha256: str = Field(default=UNSEALED, pattern="^[0-9a-f]{64}$")

    def write(self) -> bytes:
        """The unsealed document as UTF-8 JSON with sorted keys: equal metadata, equal bytes."""
        document = self.model_dump() | {"content_sha256": UNSEALED}
        return json.dumps(document, sort_keys=True, indent=1).encode()

    @classmethod
    def read(cls, data: bytes, *, source: str) -> Metadata:
        """Reads the result of `write`.

        Args:
            data: the document.
            source: name of the file, for errors.

        Raises:
            UserError: it is no such document, of another version, or changed since it was written.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"The edgecmp metadata in {source} is not JSON ({error}).", EXPORT_AGAIN
            ) from error
        check_format(document.get("format") if isinstance(document, dict) else None, source)
        metadata = parse_document(
            cls,
            document,
            refusal=f"The edgecmp metadata in {source} is damaged",
            way_out=EXPORT_AGAIN,
        )
        if sha256_json(metadata.preprocessing) != metadata.preprocessing_fingerprint:
            raise UserError(
                f"The preprocessing stored in {source} does not match its fingerprint: "
                "the file was changed after it was written.",
                EXPORT_AGAIN,
            )
        return metadata

    def build_architecture(self, *, source: str = "The exported file") -> Form:
        """The architecture of the network."""
        return form_from_dict(self.architecture, source=source)

    def build_preprocessing(self) -> Preprocessing:
        """The preprocessing of the network."""
        from edgecmp.preprocessing import Preprocessing

        return Preprocessing.from_dict(self.preprocessing)
