"""run.json: what a run is of, which of its stations are done, and the time that it has spent.

The file is written whole after each change. While the run works, the time of the last sign of life
is the time stamp of an empty file beside it, so that the time before a kill counts too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from edgecmp.documents import parse_document
from edgecmp.errors import UserError
from edgecmp.files import read_json, seal, seal_of, sha256_file, sha256_json, write_json
from edgecmp.storage import disk_errors

__all__ = ["Record", "StationRecord", "hash_of"]

FILE, ALIVE = "run.json", ".alive"
FORMAT = "edgecmp-road/1"
BEAT_S = 1.0


class StationRecord(BaseModel):
    """A station that was begun.

    Attributes:
        commands: its command lines, without "edgecmp".
        codes: exit codes of the commands that are finished, in order.
        notes: sentences about what was left out or failed without ending the run.
        planned: seconds that the plan gave it when it was begun.
        passes: over the training images that its trainings make; None for other stations.
        short: whether the gallery model embeds only the images that they show, each once.
        views: of each image in its trainings, as in `Work`.
        spent_before: seconds that the run had spent when it was begun.
        seconds: that it took; None while it is not done.
        inputs: the files and folders of this run that it read, with their hashes.
        results: what it made, with hashes.
    """

    model_config = ConfigDict(extra="forbid")

    commands: list[list[str]]
    codes: list[int] = []
    notes: list[str] = []
    planned: float
    passes: float | None = None
    short: bool = False
    views: int | None = None
    spent_before: float = 0.0
    seconds: float | None = None
    inputs: dict[str, str] = {}
    results: dict[str, str] = {}


class _Session(BaseModel):
    """One process that worked on the run: wall-clock times; `ended` is missing after a kill."""

    model_config = ConfigDict(extra="forbid")

    began: float
    ended: float | None = None


class _Document(BaseModel):
    """The content of run.json."""

    model_config = ConfigDict(extra="forbid")

    format: str = FORMAT
    settings: dict[str, Any]
    plan: dict[str, float] = {}
    sessions: list[_Session] = []
    stations: dict[str, StationRecord] = {}
    content_sha256: str = ""


@dataclass(kw_only=True, slots=True)
class Record:
    """The record of one run; see `Record.opened`.

    Attributes:
        out: the run's folder.
    """

    out: Path
    _document: _Document
    _stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def opened(cls, out: Path, settings: Mapping[str, Any]) -> Record:
        """The record in a folder, or a new one.

        Args:
            out: the run's folder.
            settings: what the run is of, by name, as JSON values.

        Raises:
            UserError: the folder has a run with other settings, or its record is damaged.
        """
        path = out / FILE
        if not path.exists():
            return cls(out=out, _document=_Document(settings=dict(settings)))
        way_out = f"Name another folder with --out, or remove {out} to start again."
        try:
            document = read_json(path, what="the record of a run")
        except UserError as error:
            raise UserError(error.what, way_out) from error
        found = parse_document(
            _Document,
            document,
            refusal=f"{path} is not the record of a run of this version of edgecmp",
            way_out=way_out,
        )
        if found.format != FORMAT or seal_of(document) != found.content_sha256:
            raise UserError(f"{path} was changed after it was written.", way_out)
        for name, value in settings.items():
            before = found.settings.get(name)
            if before != value:
                raise UserError(
                    f"{out} holds a run with another {name}: {_short(before)}, now "
                    f"{_short(value)}.",
                    way_out,
                )
        record = cls(out=out, _document=found)
        record._close_killed_session()
        return record

    @property
    def stations(self) -> Mapping[str, StationRecord]:
        """The stations that were begun, by name."""
        return self._document.stations

    @property
    def plan(self) -> Mapping[str, float]:
        """The seconds of each station by the first plan; empty before it is made."""
        return self._document.plan

    def keep_plan(self, seconds: Mapping[str, float]) -> None:
        """Keeps the first plan."""
        self._document.plan = dict(seconds)
        self.save()

    @property
    def spent(self) -> float:
        """Seconds that the run has worked, in all its processes."""
        now = time.time()
        return sum(
            max(0.0, (now if each.ended is None else each.ended) - each.began)
            for each in self._document.sessions
        )

    @contextmanager
    def working(self, began: float) -> Iterator[None]:
        """Counts the time from `began` (`time.time`) to the end of the block, or to a kill."""
        self._document.sessions.append(_Session(began=began))
        self.save()
        alive = self.out / ALIVE
        self._stop.clear()
        beat = threading.Thread(target=self._beat, args=(alive,), daemon=True)
        beat.start()
        try:
            yield
        finally:
            self._stop.set()
            beat.join()
            self._document.sessions[-1].ended = time.time()
            self.save()
            alive.unlink(missing_ok=True)

    def _beat(self, alive: Path) -> None:
        while True:
            with suppress(OSError):  # the disk is full; the work will say so
                alive.touch()
            if self._stop.wait(BEAT_S):
                return

    def _close_killed_session(self) -> None:
        """Gives the session of a killed process the time of its last sign of life as its end."""
        if self._document.sessions and self._document.sessions[-1].ended is None:
            last = self._document.sessions[-1]
            try:
                last.ended = max(last.began, (self.out / ALIVE).stat().st_mtime)
            except OSError:
                last.ended = last.began

    def begin(self, station: str, begun: StationRecord) -> StationRecord:
        """Writes that a station is begun, with the commands that a resumed run repeats."""
        begun.spent_before = self.spent
        self._document.stations[station] = begun
        self.save()
        return begun

    def save(self) -> None:
        """Writes the file.

        Raises:
            UserError: it cannot be written.
        """
        with disk_errors(self.out):
            write_json(self.out / FILE, seal(self._document.model_dump()))

    def is_done(self, station: str) -> bool:
        """Whether a station is finished, its results are there, and its inputs are unchanged."""
        begun = self.begun(station)
        if begun is None or begun.seconds is None:
            return False
        return all((self.out / name).exists() for name in begun.results)

    def begun(self, station: str) -> StationRecord | None:
        """What is written about a station that was begun; None if its inputs are others now."""
        found = self.stations.get(station)
        if found is None:
            return None
        same = all(hash_of(self.out / name) == sha256 for name, sha256 in found.inputs.items())
        return found if same else None

    def hashes(self, names: Sequence[str]) -> dict[str, str]:
        """The hashes of files and folders of the run that exist, by their names in it."""
        return {name: hash_of(self.out / name) for name in names if (self.out / name).exists()}


def hash_of(path: Path) -> str:
    """The hash of a file, or of all files of a folder; of an artefact that of its manifest.

    The manifest of an artefact names the hashes of its other files. A missing path has its own.
    """
    if not path.is_dir():
        return sha256_file(path) if path.exists() else "missing"
    manifest = path / "manifest.json"
    if manifest.is_file():
        return sha256_file(manifest)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_json([[os.fspath(file.relative_to(path)), sha256_file(file)] for file in files])


def _short(value: object) -> str:
    """A setting in a message; of a hash the first digits, as everywhere."""
    text = "none" if value is None else str(value)
    return text[:12] if len(text) == 64 else text
