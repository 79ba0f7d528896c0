"""Reads and checks a folder of IJB-C: loose_crop/ with the images, meta/ with the protocols.

    loose_crop/1.jpg ...                      faces cut out of photographs and videos
    meta/ijbc_face_tid_mid.txt                image, template, media
    meta/ijbc_name_5pts_score.txt             image, five points, score of the face detector
    meta/ijbc_template_pair_label.txt         1:1: enrolled template, probe template, genuine or not
    meta/ijbc_1N_gallery_G1.csv, _G2.csv      1:N: template and subject, one row per image
    meta/ijbc_1N_probe_mixed.csv              1:N: the probes, likewise

IJB-C is Maze et al., "IARPA Janus Benchmark - C", ICB 2018. This is the layout that insightface
distributes and that public evaluation code reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.data.ijbc.text_files import (
    FaceList,
    line_of_row,
    read_faces,
    read_pairs,
    read_roster,
    wrong_line,
)
from edgecmp.errors import UserError
from edgecmp.progress import say

__all__ = ["Ijbc", "Pairs", "Protocols", "Roster", "read_ijbc"]

_MEMBERSHIP = Path("meta", "ijbc_face_tid_mid.txt")
_LANDMARKS = Path("meta", "ijbc_name_5pts_score.txt")
_PAIRS = Path("meta", "ijbc_template_pair_label.txt")
_G1 = Path("meta", "ijbc_1N_gallery_G1.csv")
_G2 = Path("meta", "ijbc_1N_gallery_G2.csv")
_PROBES = Path("meta", "ijbc_1N_probe_mixed.csv")
_IMAGES = Path("loose_crop")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """P pairs of the 1:1 protocol.

    Attributes:
        enrolled: (P,) int32, row of the enrolled template (embedded by the gallery model).
        probes: (P,) int32, row of the probe template (embedded by the query model).
        genuine: (P,) bool, whether both templates show the same subject.
    """

    enrolled: NDArray[np.int32]
    probes: NDArray[np.int32]
    genuine: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Roster:
    """The templates of a gallery, or of the probes.

    Attributes:
        rows: (n,) int32, rows of the templates, in ascending order of their ids.
        subjects: (n,) int64, subject ids.
    """

    rows: NDArray[np.int32]
    subjects: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocols:
    """The templates that are compared, as rows of the templates' embeddings."""

    pairs: Pairs
    g1: Roster
    g2: Roster
    probes: Roster


@dataclass(frozen=True, kw_only=True, slots=True)
class Ijbc:
    """IJB-C, or another set of faces in its layout.

    Attributes:
        images: the folder of the images.
        faces: the N faces and their five points.
        template_ids: (T,) int64, ascending.
        rows: (N,) int64, the row in `template_ids` of each face.
        protocols: the 1:1 and the 1:N lists.
    """

    images: Path
    faces: FaceList
    template_ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    protocols: Protocols


def read_ijbc(folder: str | Path) -> Ijbc:
    """Reads and checks the lists, and checks that the images exist; they are read when needed.

    Raises:
        UserError: a file is missing or malformed, the lists contradict each other, or images are
            missing.
    """
    folder = Path(folder)
    say(f"Reading the lists of {folder / 'meta'}")
    faces = read_faces(folder / _MEMBERSHIP, folder / _LANDMARKS)
    template_ids, rows = np.unique(faces.templates, return_inverse=True)
    g1, g2, probes = (_roster(folder / part, template_ids) for part in (_G1, _G2, _PROBES))
    both = np.intersect1d(g1.subjects, g2.subjects)
    if len(both):
        raise UserError(
            f"{folder / _G1} and {_G2.name} share {len(both)} subjects, such as {both[0]}.",
            "Copy both files again: the two galleries of IJB-C have no subject in common.",
        )
    pairs = _pairs(folder / _PAIRS, template_ids)
    _check_images(folder / _IMAGES, folder / _MEMBERSHIP, faces.names)
    return Ijbc(
        images=folder / _IMAGES,
        faces=faces,
        template_ids=template_ids,
        rows=rows.astype(np.int64),
        protocols=Protocols(pairs=pairs, g1=g1, g2=g2, probes=probes),
    )


def _rows(ids: NDArray[Any], template_ids: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """The rows of template ids (n,), and whether each id exists (n,)."""
    rows = np.minimum(np.searchsorted(template_ids, ids), len(template_ids) - 1)
    return rows.astype(np.int32), template_ids[rows] == ids


def _roster(path: Path, template_ids: NDArray[Any]) -> Roster:
    """A gallery or the probes, as rows."""
    found = read_roster(path)
    ids = np.array(sorted(found), np.int64)
    rows, known = _rows(ids, template_ids)
    if not known.all():
        lost = int(ids[~known][0])
        raise wrong_line(
            path, found[lost][1], f"template {lost} has no image in {_MEMBERSHIP.name}"
        )
    subjects = np.array([found[template][0] for template in ids.tolist()], np.int64)
    return Roster(rows=rows, subjects=subjects)


def _pairs(path: Path, template_ids: NDArray[Any]) -> Pairs:
    """The 1:1 protocol, as rows."""
    listed = read_pairs(path)
    genuine = listed[:, 2] == 1
    if genuine.all() or not genuine.any():
        raise UserError(
            f"{path} lists {genuine.sum()} genuine pairs among {len(genuine)} pairs, but TAR@FAR "
            "needs genuine and impostor pairs.",
            "Copy the file again from the IJB-C release.",
        )
    columns = []
    for column in (0, 1):
        rows, known = _rows(listed[:, column], template_ids)
        if not known.all():
            place = int(np.argmin(known))
            lost = f"template {listed[place, column]} has no image in {_MEMBERSHIP.name}"
            raise wrong_line(path, line_of_row(path, place), lost)
        columns.append(rows)
    return Pairs(enrolled=columns[0], probes=columns[1], genuine=genuine)


def _check_images(folder: Path, membership: Path, names: tuple[str, ...]) -> None:
    """Refuses a folder with missing images before hours are spent on the others."""
    try:
        there = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise UserError(
            f"{folder} is not a folder that can be read.", "Copy the images of IJB-C to it."
        ) from error
    lost = [place for place, name in enumerate(names) if name not in there]
    if lost:
        raise UserError(
            f"{len(lost)} of {len(names)} images that {membership} lists are missing from "
            f"{folder}, such as {names[lost[0]]}.",
            "Copy the complete folder again from the IJB-C release.",
        )
