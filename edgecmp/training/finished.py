"""training.json: what a finished network was trained from, so that it is not trained again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from edgecmp.artefacts.bundle import GalleryBundle, QueryBundle, SupernetBundle
from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import read_json, seal, seal_of, write_json
from edgecmp.training.differences import differences, sentence_of

__all__ = ["RECORD", "FinishedTraining", "find_finished", "write_finished"]

RECORD = "training.json"
Bundle = GalleryBundle | SupernetBundle | QueryBundle
BUNDLES: dict[str, Callable[[Path], Bundle]] = {
    "gallery": GalleryBundle.load,
    "supernet": SupernetBundle.load,
    "query": QueryBundle.load,
}


class FinishedTraining(BaseModel):
    """The document in training.json.

    Attributes:
        format: the version of the document.
        weights_sha256: hash of the network, as in its manifest.
        settings: everything that determined the result.
        rows: results on the hold-out, in percent.
        epochs: one record per epoch.
        content_sha256: hash of all other fields.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["edgecmp-training/1"] = "edgecmp-training/1"
    weights_sha256: str
    settings: dict[str, Any]
    rows: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    content_sha256: str = ""


def write_finished(folder: Path, training: FinishedTraining) -> None:
    """Writes the record of a training beside its network.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    write_json(folder / RECORD, seal(training.model_dump()))


def find_finished(folder: Path, kind: str, settings: Mapping[str, Any]) -> FinishedTraining | None:
    """The record of the network in a folder if these settings made it; None if it has no network.

    Args:
        folder: --out of a training.
        kind: "gallery", "supernet" or "query".
        settings: of the training that is to be run.

    Raises:
        UserError: the folder contains another network, or a damaged one.
    """
    if not (folder / "manifest.json").exists():
        return None
    way_out = f"Name another folder with --out, or remove {folder} to train it again."
    found = _record(folder)
    if found is not None and (different := differences(found.settings, settings)):
        raise UserError(
            f"{folder} contains a finished training with other settings: {sentence_of(different)}.",
            way_out,
        )
    try:
        network = BUNDLES[kind](folder)
    except UserError as error:
        raise UserError(error.what, way_out) from error
    if found is None or found.weights_sha256 != network.sha256:
        raise UserError(
            f"{folder} already contains a {kind} network, and it is not known how it was trained.",
            way_out,
        )
    return found


def _record(folder: Path) -> FinishedTraining | None:
    """The record in a folder; None if there is none that is whole."""
    if not (folder / RECORD).exists():
        return None
    try:
        document = read_json(folder / RECORD, what="the record of a training")
        found = parse_document(FinishedTraining, document, refusal="", way_out="")
    except UserError:
        return None
    return found if seal_of(document) == found.content_sha256 else None
