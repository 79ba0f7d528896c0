"""Reads the text files in the meta/ folder of IJB-C; see `read_ijbc`.

Errors name the first invalid line of a file.
"""

from __future__ import annotations

import csv
import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError, system_reason

__all__ = ["FaceList", "line_of_row", "read_faces", "read_pairs", "read_roster", "wrong_line"]

_AGAIN = "Copy the file again from the IJB-C release."
_INT64 = 2**63
_FARTHEST = 1e6
"""Largest absolute coordinate or score; images have a few thousand pixels."""
_POINTS = "name x1 y1 x2 y2 x3 y3 x4 y4 x5 y5 score"


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceList:
    """N faces, in the order of the files.

    Attributes:
        names: (N,) file names in loose_crop/.
        templates: (N,) int64 template ids.
        media: (N,) int64 medium ids, one per photograph or video.
        points: (N, 5, 2) float64, x and y of left eye, right eye, nose, left and right corner of
            the mouth, in pixels of the image.
        scores: (N,) float32, scores of the face detector.
    """

    names: tuple[str, ...]
    templates: NDArray[np.int64]
    media: NDArray[np.int64]
    points: NDArray[np.float64]
    scores: NDArray[np.float32]


def wrong_line(path: Path, line: int, why: str) -> UserError:
    """The error for one line (counted from 1) of a file."""
    return UserError(f"Line {line} of {path} is invalid: {why}.", _AGAIN)


def line_of_row(path: Path, row: int) -> int:
    """The number of the line with a row (counted from 0) of a list: blank lines are no rows."""
    return next(itertools.islice(_lines(path), row, None))[0]


def _shown(line: str) -> str:
    """The beginning of a line, quoted for an error."""
    text = line.strip()
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


def _id(word: str) -> int:
    """The number of a template, medium or subject.

    Raises:
        ValueError: it is not a whole number of 64 bits.
    """
    number = int(word)
    if not -_INT64 <= number < _INT64:
        raise ValueError("the number is too large")
    return number


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of the file that are not blank, with their numbers.

    Raises:
        UserError: the file cannot be read or is empty.
    """
    number, empty = 0, True
    _refuse_device(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    empty = False
                    yield number, line
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {system_reason(error)}.",
            "Name a folder with loose_crop/ and meta/, as in the IJB-C release (see "
            "docs/how-to/ijbc.md).",
        ) from error
    except UnicodeDecodeError as error:
        raise wrong_line(path, number + 1, "it is not text") from error
    if empty:
        raise UserError(f"{path} is empty.", _AGAIN)


def _refuse_device(path: Path) -> None:
    """Refuses what may never end when it is read, such as a pipe."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file.", _AGAIN)


def read_faces(membership: Path, landmarks: Path) -> FaceList:
    """Reads ijbc_face_tid_mid.txt and ijbc_name_5pts_score.txt, which list the same images.

    Raises:
        UserError: a file is missing or malformed, or the two contradict each other.
    """
    members = _read_membership(membership)
    numbers = _read_landmarks(landmarks, membership, members)
    ids = np.array([(member.template, member.medium) for member in members], np.int64)
    return FaceList(
        names=tuple(member.name for member in members),
        templates=ids[:, 0],
        media=ids[:, 1],
        points=numbers[:, :10].reshape(-1, 5, 2),
        scores=numbers[:, 10].astype(np.float32),
    )


class _Member(NamedTuple):
    """One line of ijbc_face_tid_mid.txt."""

    name: str
    template: int
    medium: int
    line: int


def _read_membership(path: Path) -> list[_Member]:
    members = []
    for number, line in _lines(path):
        try:
            name, template, medium = line.split()
            members.append(_Member(name, _id(template), _id(medium), number))
        except ValueError as error:
            raise wrong_line(
                path, number, f"expected `name template media`, got {_shown(line)}"
            ) from error
    return members


def _read_landmarks(
    path: Path, membership: Path, members: Sequence[_Member]
) -> NDArray[np.float64]:
    """(N, 11): x and y of the five points of each image, and its score."""
    values: list[list[float]] = []
    lines: list[int] = []
    for number, line in _lines(path):
        name, *words = line.split()
        row = len(values)
        if row == len(members) or name != members[row].name:
            at_end = row == len(members)
            expected = "the end" if at_end else f"{members[row].name!r}, as in {membership.name}"
            raise wrong_line(path, number, f"it names {name!r} instead of {expected}")
        values.append(_landmark_values(path, number, words))
        lines.append(number)
    if len(values) < len(members):
        name, *_, number = members[len(values)]
        raise wrong_line(membership, number, f"{name!r} has no line in {path}")
    numbers = np.array(values, np.float64)  # (N, 11)
    usable = (np.abs(numbers) <= _FARTHEST).all(1)  # (N,); False for NaN too
    if not usable.all():
        row = int(np.argmin(usable))
        wrong = numbers[row][~(np.abs(numbers[row]) <= _FARTHEST)][0]
        raise wrong_line(path, lines[row], f"{wrong:g} is no coordinate or score of a face")
    spread = np.ptp(numbers[:, :10].reshape(-1, 5, 2), axis=1).max(1)  # (N,)
    if not spread.all():
        row = int(np.argmin(spread))
        raise wrong_line(path, lines[row], "its five points are identical")
    return numbers


def _landmark_values(path: Path, line: int, words: Sequence[str]) -> list[float]:
    """The ten coordinates and the score in one line."""
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise wrong_line(path, line, f"expected `{_POINTS}`") from error
    if len(values) != 11:
        raise wrong_line(path, line, f"expected `{_POINTS}`")
    return values


def read_pairs(path: Path) -> NDArray[np.int64]:
    """Reads ijbc_template_pair_label.txt: enrolled template, probe template, 1 if genuine.

    Returns:
        (P, 3) int64.

    Raises:
        UserError: the file is missing or malformed.
    """
    _refuse_device(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # for numbers beyond int64 and for an empty file
            pairs = np.loadtxt(path, np.int64, comments=None, ndmin=2, encoding="utf-8-sig")
    except (OSError, ValueError, UserWarning, DeprecationWarning) as error:
        raise _wrong_pair(path) from error
    if pairs.shape[1] != 3 or not np.isin(pairs[:, 2], (0, 1)).all():
        raise _wrong_pair(path)
    return pairs


def _wrong_pair(path: Path) -> UserError:
    """The error for the first malformed line of the pairs, which a slow second pass finds."""
    for number, line in _lines(path):
        words = line.split()
        try:
            _, _, genuine = map(_id, words)
        except ValueError:
            genuine = -1
        if genuine not in (0, 1):
            return wrong_line(path, number, f"expected `template template 0|1`, got {_shown(line)}")
    return UserError(f"{path} cannot be read as pairs of templates.", _AGAIN)


def read_roster(path: Path) -> dict[int, tuple[int, int]]:
    """Reads ijbc_1N_*.csv, the templates of a gallery or of the probes, one row per image.

    Returns:
        Template id -> (subject id, number of the first line with the template).

    Raises:
        UserError: the file is missing or malformed, or assigns two subjects to a template.
    """
    lines = _lines(path)
    number, header = next(lines)
    if header.split(",")[0].strip().isdecimal():
        raise wrong_line(path, number, "expected the header TEMPLATE_ID,SUBJECT_ID,...")
    found: dict[int, tuple[int, int]] = {}
    for number, line in lines:
        try:
            row = next(csv.reader([line]))
            template, subject = _id(row[0]), _id(row[1])
        except (ValueError, IndexError, csv.Error) as error:
            raise wrong_line(
                path, number, f"it does not begin with TEMPLATE_ID,SUBJECT_ID: {_shown(line)}"
            ) from error
        known = found.setdefault(template, (subject, number))
        if known[0] != subject:
            raise wrong_line(
                path,
                number,
                f"template {template} has subject {subject} here and subject {known[0]} in line "
                f"{known[1]}",
            )
    if not found:
        raise UserError(f"{path} lists no templates.", _AGAIN)
    return found
