"""Checkpoint: an unfinished training on disk, from which only the same training resumes.

It is a tensor file named after its epoch and a document that names it and is written after it. A
process that is killed at any moment therefore leaves one complete state: the previous one, or the
new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import (
    read_json,
    read_tensors,
    seal,
    seal_of,
    sha256_tensors,
    write_json,
    write_tensors,
)
from edgecmp.training.differences import differences, sentence_of

__all__ = ["VIEWS", "Checkpoint"]

DOCUMENT = "checkpoint.json"
VIEWS = "views.bin"
"""The gallery model's embeddings of views of the images, kept here until the training ends; see
`edgecmp.training.embedding_log`."""


class _Document(BaseModel):
    """The document in checkpoint.json.

    Attributes:
        epoch: number of finished epochs.
        tensors: name of the tensor file.
        tensors_sha256: hash of the tensors in it.
        settings: everything that determines the result of the training.
        records: one per finished epoch.
        content_sha256: hash of all other fields.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["edgecmp-checkpoint/1"] = "edgecmp-checkpoint/1"
    epoch: int
    tensors: str
    tensors_sha256: str
    settings: dict[str, Any]
    records: list[dict[str, Any]]
    content_sha256: str = ""


class Checkpoint:
    """The checkpoint of one training; see `Checkpoint.opened`.

    Attributes:
        folder: where it is.
        epoch: number of epochs that are finished; 0 if there is no checkpoint yet.
        records: one per finished epoch.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], found: _Document | None) -> None:
        self.folder, self._settings, self._found = folder, settings, found
        self.epoch = found.epoch if found else 0
        self.records = list(found.records) if found else []

    @classmethod
    def opened(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        """The checkpoint in a folder, which need not exist; it removes what a kill left half done.

        Args:
            folder: of the checkpoint alone.
            settings: JSON values that determine the result, including the hashes of all inputs.

        Raises:
            UserError: it is the checkpoint of another training, or is damaged.
        """
        if not (folder / DOCUMENT).exists():
            _remove_tensors(folder, keep=None)
            return cls(folder, settings, None)
        try:
            document = read_json(folder / DOCUMENT, what="a training checkpoint")
        except UserError as error:
            raise UserError(error.what, _start_again(folder)) from error
        found = parse_document(
            _Document,
            document,
            refusal=f"{folder / DOCUMENT} is not a checkpoint of this version of edgecmp",
            way_out=_start_again(folder),
        )
        if seal_of(document) != found.content_sha256:
            raise UserError(
                f"{folder / DOCUMENT} was changed after it was written.", _start_again(folder)
            )
        different = differences(found.settings, settings)
        if different:
            raise UserError(
                f"{folder} contains an unfinished training with other settings: "
                f"{sentence_of(different)}.",
                f"Resume it with its own settings, name another folder with --out, or remove "
                f"{folder} to start again.",
            )
        _remove_tensors(folder, keep=found.tensors)
        return cls(folder, settings, found)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint whose `epoch` is at least 1.

        Raises:
            UserError: the file is missing, truncated or was changed.
        """
        if self._found is None:
            raise RuntimeError("There is no checkpoint to read.")
        path = self.folder / self._found.tensors
        try:
            tensors = read_tensors(path, what="a training checkpoint")
        except UserError as error:
            raise UserError(error.what, _start_again(self.folder)) from error
        if sha256_tensors(tensors) != self._found.tensors_sha256:
            raise UserError(f"{path} was changed after it was written.", _start_again(self.folder))
        return tensors

    def unusable(self) -> UserError:
        """The error for tensors that are whole, but not those of the network."""
        return UserError(
            f"The checkpoint in {self.folder} was written by another version of edgecmp.",
            _start_again(self.folder),
        )

    def save(
        self, tensors: Mapping[str, Tensor], epoch: int, records: list[dict[str, float]]
    ) -> None:
        """Writes the state after `epoch`; the previous one is kept until this one is complete.

        Raises:
            UserError: the disk is full or the folder cannot be written; the previous checkpoint is
                unchanged.
        """
        name = f"checkpoint-{epoch}.safetensors"
        document = _Document(
            epoch=epoch,
            tensors=name,
            tensors_sha256=sha256_tensors(tensors),
            settings=dict(self._settings),
            records=records,
        )
        try:
            write_tensors(self.folder / name, tensors)
            write_json(self.folder / DOCUMENT, seal(document.model_dump()))
        except UserError as error:
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
            where = f"resumes after epoch {self.epoch}" if self.epoch else "starts again"
            raise UserError(
                error.what,
                f"Free some space, or make {self.folder} writable, and run the same command again: "
                f"it {where}.",
            ) from error
        self._found, self.epoch, self.records = document, epoch, list(records)
        _remove_tensors(self.folder, keep=name)

    def clear(self) -> None:
        """Removes the checkpoint of a training whose result is saved."""
        (self.folder / DOCUMENT).unlink(missing_ok=True)
        _remove_tensors(self.folder, keep=None)
        (self.folder / VIEWS).unlink(missing_ok=True)
        with suppress(OSError):  # it does not exist, or holds other files
            self.folder.rmdir()
        self._found, self.epoch = None, 0


def _remove_tensors(folder: Path, *, keep: str | None) -> None:
    """Removes the tensor files that no document names."""
    for path in folder.glob("checkpoint-*.safetensors"):
        if path.name != keep:
            path.unlink()


def _start_again(folder: Path) -> str:
    return f"Remove {folder} and run the same command again, which starts the training again."
