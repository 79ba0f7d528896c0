"""The document inside exported files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgecmp.errors import UserError
from edgecmp.export import Metadata
from edgecmp.files import provenance
from edgecmp.networks.architecture import Architecture
from edgecmp.preprocessing import Preprocessing


@pytest.fixture
def metadata() -> Metadata:
    preprocessing = Preprocessing(input_size=64)
    return Metadata(
        target="tflite",
        precision="fp32",
        input="tensor",
        architecture=Architecture.random("100M", seed=0, input_size=64).to_dict(),
        preprocessing=preprocessing.to_dict(),
        preprocessing_fingerprint=preprocessing.fingerprint,
        gallery_sha256="0" * 64,
        weights_sha256="1" * 64,
        provenance=provenance(),
    )


def test_round_trip(metadata: Metadata) -> None:
    read = Metadata.read(metadata.write(), source="x.tflite")
    assert read == metadata
    assert read.write() == metadata.write()
    assert read.build_preprocessing() == Preprocessing(input_size=64)
    assert read.build_architecture() == Architecture.random("100M", seed=0, input_size=64)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "edgecmp-export/2"}, "older edgecmp"),
        ({"format": "edgecmp-export/4"}, "newer edgecmp"),
        ({"format": "something"}, r"not that of an edgecmp export \(format 'something'\)"),
        ({"preprocessing": {"input_size": 32}}, "does not match its fingerprint"),
        ({"weights_sha256": "12"}, "damaged: weights_sha256"),
        ({"surprise": 1}, "damaged: surprise"),
    ],
)
def test_refuses(metadata: Metadata, change: dict[str, Any], says: str) -> None:
    document = json.loads(metadata.write()) | change
    with pytest.raises(UserError, match=says):
        Metadata.read(json.dumps(document).encode(), source="x.tflite")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe"])
def test_refuses_what_is_no_document(data: bytes) -> None:
    with pytest.raises(UserError, match=r"x\.tflite"):
        Metadata.read(data, source="x.tflite")
