"""The text files in the meta/ folder of IJB-C, read line by line or all at once; see `read_ijbc`.

What is wrong in a file is told in one sentence that names its line.
"""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.errors import UserError

__all__ = ["FaceList", "read_faces", "read_pairs", "read_roster", "wrong_line"]

_AGAIN = "Copy the file again from the IJB-C release."
_POINTS = "name x1 y1 x2 y2 x3 y3 x4 y4 x5 y5 score"


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceList:
    """N faces, in the order of the files.

    Attributes:
        names: (N,) file names below loose_crop/.
        templates: (N,) int64 template ids.
        media: (N,) int64 media ids: a photograph, or the video that the frame is from.
        points: (N, 5, 2) float64, x and y of left eye, right eye, nose, left and right corner of
            the mouth, in pixels of the image.
        scores: (N,) float32, the face detector's.
    """

    names: tuple[str, ...]
    templates: NDArray[np.int64]
    media: NDArray[np.int64]
    points: NDArray[np.float64]
    scores: NDArray[np.float32]


def wrong_line(path: Path, line: int, why: str) -> UserError:
    """The error for one line (counted from 1) of a file."""
    return UserError(f"Line {line} of {path} is wrong: {why}.", _AGAIN)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of the file that hold something, with their numbers.

    Raises:
        UserError: the file cannot be read, or holds nothing.
    """
    number = 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(
            f"{path} cannot be read: {reason}.",
            "The folder needs loose_crop/ and meta/ as in the IJB-C release (see docs/faces.md).",
        ) from error
    except UnicodeDecodeError as error:
        raise wrong_line(path, number + 1, "it is not text") from error
    if not number:
        raise UserError(f"{path} is empty.", _AGAIN)


def read_faces(membership: Path, landmarks: Path) -> FaceList:
    """The faces of ijbc_face_tid_mid.txt and ijbc_name_5pts_score.txt, which list the same images.

    Raises:
        UserError: a file is missing or malformed, or the two disagree.
    """
    names, members, places = [], [], []
    for number, line in _lines(membership):
        parts = line.split()
        try:
            name, template, medium = parts
            members.append((int(template), int(medium)))
        except ValueError as error:
            raise wrong_line(
                membership, number, f"it is not `name template media` but {line.strip()!r}"
            ) from error
        names.append(name)
        places.append(number)
    values: list[list[float]] = []
    lines: list[int] = []
    for number, line in _lines(landmarks):
        name, *rest = line.split()
        row = len(values)
        if row == len(names) or name != names[row]:
            expected = f"{names[row]!r}, as in {membership.name}" if row < len(names) else "the end"
            raise wrong_line(landmarks, number, f"it says {name!r} instead of {expected}")
        try:
            values.append([float(word) for word in rest])
        except ValueError as error:
            raise wrong_line(landmarks, number, f"it is not `{_POINTS}`") from error
        if len(rest) != 11:
            raise wrong_line(landmarks, number, f"it is not `{_POINTS}`")
        lines.append(number)
    if len(values) < len(names):
        raise wrong_line(
            membership, places[len(values)], f"{names[len(values)]!r} has no line in {landmarks}"
        )
    numbers = np.array(values, np.float64)  # (N, 11)
    points = numbers[:, :10].reshape(-1, 5, 2)
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers).all(1)))
        raise wrong_line(landmarks, lines[row], f"it is not `{_POINTS}`")
    spread = np.ptp(points, axis=1).max(1)  # (N,)
    if not spread.all():
        row = int(np.argmin(spread))
        raise wrong_line(landmarks, lines[row], "its five points are one and the same")
    ids = np.array(members, np.int64)
    return FaceList(
        names=tuple(names),
        templates=ids[:, 0],
        media=ids[:, 1],
        points=points,
        scores=numbers[:, 10].astype(np.float32),
    )


def read_pairs(path: Path) -> NDArray[np.int64]:
    """The rows of ijbc_template_pair_label.txt: enrolled template, probe template, 1 if genuine.

    Returns:
        (P, 3) int64.

    Raises:
        UserError: the file is missing or malformed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numbers that do not fit, or no row at all
            pairs = np.loadtxt(path, np.int64, comments=None, ndmin=2)
    except (OSError, ValueError, UserWarning, DeprecationWarning) as error:
        raise _wrong_pair(path) from error
    if pairs.shape[1] != 3 or not np.isin(pairs[:, 2], (0, 1)).all():
        raise _wrong_pair(path)
    return pairs


def _wrong_pair(path: Path) -> UserError:
    """The error for the first malformed line of the pairs, looked for slowly."""
    for number, line in _lines(path):
        words = line.split()
        try:
            whole = len(words) == 3 and [abs(int(word)) < 2**63 for word in words] == [True] * 3
        except ValueError:
            whole = False
        if not whole or int(words[2]) not in (0, 1):
            return wrong_line(path, number, f"it is not `template template 0|1`: {line.strip()!r}")
    return UserError(f"{path} cannot be read as pairs of templates.", _AGAIN)


def read_roster(path: Path) -> dict[int, tuple[int, int]]:
    """The templates of a gallery or of the probes: ijbc_1N_*.csv, with a header, a row an image.

    Returns:
        Template id -> subject id, and the first line that names the template.

    Raises:
        UserError: the file is missing or malformed, or gives a template two subjects.
    """
    lines = _lines(path)
    number, header = next(lines)
    if header.split(",")[0].strip().isdecimal():
        raise wrong_line(path, number, "it is not the header TEMPLATE_ID,SUBJECT_ID,...")
    found: dict[int, tuple[int, int]] = {}
    for number, line in lines:
        row: list[Any] = next(csv.reader([line]))
        try:
            template, subject = int(row[0]), int(row[1])
        except (ValueError, IndexError) as error:
            raise wrong_line(
                path, number, f"it does not begin with TEMPLATE_ID,SUBJECT_ID: {line.strip()!r}"
            ) from error
        known = found.setdefault(template, (subject, number))
        if known[0] != subject:
            raise wrong_line(
                path,
                number,
                f"it gives template {template} the subject {subject}, line {known[1]} {known[0]}",
            )
    if not found:
        raise UserError(f"{path} names no template.", _AGAIN)
    return found
