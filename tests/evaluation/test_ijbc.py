"""`edgecmp eval` on real faces in IJB-C's layout equals plain loops over the same files.

The networks are the starter kit's. They were trained on drawings, so what is tested is the protocol
and not how well they know faces.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from edgecmp import kit
from edgecmp.cli import main
from edgecmp.data.ijbc import AlignedFaces, read_ijbc, template_embeddings
from edgecmp.evaluation.ijbc_embed import embed_faces
from edgecmp.gallery.open import open_gallery, open_query
from edgecmp.metrics import pair_scores
from tests.fixtures.orl import G1, G2, STRANGERS, Orl, write_ijbc

Vectors = dict[int, Any]
"""Template id -> its embedding."""

FORMS = {
    "default": "",
    "insightface": 'tar = "nearest"\ntpir = "insightface"\n',
    "other switches": "norm = true\ndetector_score = false\n",
}


@dataclass(frozen=True)
class World:
    """The folder, what the command wrote for each of `FORMS`, and the features of all faces."""

    orl: Orl
    reports: dict[str, dict[str, Any]]
    features: dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("ijbc")
    orl = write_ijbc(root / "IJBC")
    reports = {}
    for name, keys in FORMS.items():
        description, written = root / f"{name}.toml", root / f"{name}.json"
        description.write_text(f'format = "ijbc"\npath = "IJBC"\ncache = "cache"\n{keys}')
        assert main(["eval", "--data", str(description), "--json", str(written)]) == 0
        reports[name] = json.loads(written.read_text())
    models = [open_query(kit.path("query")), open_gallery(kit.path("gallery"))]
    faces = AlignedFaces(read_ijbc(orl.folder))
    found = embed_faces(faces, models, cache=root / "cache")
    return World(orl, reports, dict(zip("qg", found, strict=True)))


def templates(world: World, letter: str, *, norm: bool, score: bool) -> Vectors:
    """Mean of each media, sum of the media, unit length."""
    media: dict[int, dict[int, list[Any]]] = {}
    for feature, (_, template, medium, _, weight) in zip(
        world.features[letter].astype(np.float64), world.orl.faces, strict=True
    ):
        value = feature / math.dist(feature, np.zeros_like(feature)) if norm else feature
        group = media.setdefault(template, {}).setdefault(medium, [])
        group.append(value * weight if score else value)
    sums = {
        template: sum(np.mean(group, axis=0) for group in groups.values())
        for template, groups in media.items()
    }
    return {template: total / math.sqrt(total @ total) for template, total in sums.items()}


def tars(
    world: World, protocol: str, enrolled: Vectors, probes: Vectors, *, nearest: bool
) -> dict[str, float]:
    """From plain products, or for the nearest corner from the command's float32 scores.

    Impostor scores that differ in float64 may be equal there and make a corner; they are as near
    to the plain products as float32 is.
    """
    scores = np.array([enrolled[one] @ probes[other] for one, other, _ in world.orl.pairs])
    labels = [label for *_, label in world.orl.pairs]
    if nearest:
        ijbc = read_ijbc(world.orl.folder)
        pairs = ijbc.protocols.pairs
        left, right = (
            template_embeddings(
                world.features[letter],
                ijbc.rows,
                ijbc.faces.media,
                ids=ijbc.template_ids,
                scores=ijbc.faces.scores,
            )
            for letter in reversed(protocol)
        )
        rounded = pair_scores(left, right, pairs.enrolled, pairs.probes)
        np.testing.assert_allclose(rounded, scores, atol=1e-6)
        scores = rounded
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=nearest)
    found = {}
    for name in ("1e-3", "1e-2", "1e-1"):
        gaps = np.abs(fpr[::-1] - float(name))
        strict = tpr[fpr <= float(name)].max()
        found[f"tar_far{name}"] = tpr[::-1][gaps.argmin()] if nearest else strict
    return found


Ranked = list[tuple[float, bool]]
"""Score of each gallery template, the highest first, and whether it is the probe's subject."""


@dataclass(frozen=True)
class Identification:
    """The 1:N protocols of one pair of models, from plain loops over the probes."""

    orl: Orl
    enrolled: Vectors
    probes: Vectors

    @cached_property
    def asked(self) -> list[int]:
        return self.orl.roster(range(1, 41), enrolled=False)

    @cached_property
    def galleries(self) -> list[list[int]]:
        return [self.orl.roster(subjects, enrolled=True) for subjects in (G1, G2)]

    def ranking(self, probe: int, gallery: list[int]) -> Ranked:
        who = self.orl.subjects
        row = [
            (float(self.enrolled[t] @ self.probes[probe]), who[t] == who[probe]) for t in gallery
        ]
        return sorted(row, key=lambda entry: -entry[0])

    @cached_property
    def merged(self) -> list[Ranked]:
        first, second = self.galleries
        return [self.ranking(probe, first + second) for probe in self.asked]

    def top(self, k: int) -> float:
        rows = self.merged
        return sum(any(hit for _, hit in row[:k]) for row in rows) / len(rows)

    def top_each(self, k: int) -> float:
        hits = [
            any(hit for _, hit in self.ranking(probe, gallery)[:k])
            for probe in self.asked
            for gallery in self.galleries
        ]
        return sum(hits) / len(self.asked)

    def tpir_of_insightface(self, fpir: float) -> float:
        rows = self.merged
        impostors = sorted((s for row in rows for s, hit in row if not hit), reverse=True)
        limit = impostors[math.ceil(len(rows) * fpir) - 1]
        return sum(any(hit and s > limit for s, hit in row) for row in rows) / len(rows)

    def tpir(self, fpir: float) -> float:
        return sum(self.tpir_in(gallery, fpir) for gallery in self.galleries) / 2

    def tpir_in(self, gallery: list[int], fpir: float) -> float:
        who = self.orl.subjects
        inside = {who[t] for t in gallery}
        strangers = [self.ranking(p, gallery)[0][0] for p in self.asked if who[p] not in inside]
        allowed = max(int(len(strangers) * fpir), 1)
        limit = sorted(strangers, reverse=True)[allowed - 1]
        first = [self.ranking(p, gallery)[0] for p in self.asked if who[p] in inside]
        return sum(hit and s > limit for s, hit in first) / len(first)

    def figures(self, *, insightface: bool) -> dict[str, float]:
        tpir = self.tpir_of_insightface if insightface else self.tpir
        return {
            **{f"top{k}": self.top(k) for k in (1, 5, 10, 20)},
            **{f"top{k}_each": self.top_each(k) for k in (1, 5, 10, 20)},
            **{f"tpir_fpir{name}": tpir(float(name)) for name in ("1e-2", "1e-1")},
        }


@pytest.mark.parametrize("forms", list(FORMS))
def test_every_figure_equals_plain_loops(world: World, forms: str) -> None:
    other, insightface = forms == "other switches", forms == "insightface"
    vectors = {letter: templates(world, letter, norm=other, score=not other) for letter in "qg"}
    rows = {row["protocol"]: row for row in world.reports[forms]["rows"]}
    assert list(rows) == ["gg", "qq", "qg"]
    for protocol, row in rows.items():
        probes, enrolled = vectors[protocol[0]], vectors[protocol[1]]
        expected = tars(world, protocol, enrolled, probes, nearest=insightface)
        identification = Identification(world.orl, enrolled, probes)
        expected |= identification.figures(insightface=insightface)
        assert {key: row[key] for key in expected} == pytest.approx(
            {key: 100 * share for key, share in expected.items()}, abs=0.006
        )
        assert [row[f"tar_far1e-{n}"] for n in (6, 5, 4)] == [None] * 3  # 3,510 impostor pairs
    assert rows["gg"]["top1"] > 100 / 30 * 5  # chance is one in thirty


def test_the_forms_differ_and_are_named(world: World) -> None:
    default, insightface, other = (world.reports[name] for name in FORMS)
    assert default["rows"] != insightface["rows"]
    assert default["rows"] != other["rows"]
    assert "NIST" in default["forms"]["tpir_fpir"]
    assert "insightface" in insightface["forms"]["tpir_fpir"]
    assert default["sizes"] == {
        "images": 400,
        "templates": 160,
        "pairs": 3600,
        "genuine_pairs": 90,
        "probes": 120,
        "gallery_g1": 15,
        "gallery_g2": 15,
    }
    assert len(STRANGERS) * 3 == 30  # probes without a mate are misses of top-k
    assert all(row["top20"] <= 75 for row in default["rows"])


def test_the_command_prints_the_forms(
    world: World, edgecmp: Callable[..., Any], tmp_path: Path
) -> None:
    description = tmp_path / "faces.toml"
    cache = world.orl.folder.parent / "cache"
    description.write_text(f'format = "ijbc"\npath = "{world.orl.folder}"\ncache = "{cache}"\n')
    result = edgecmp("eval", "--data", description)
    assert result.code == 0
    assert "tpir_fpir1e-1" in result.out
    assert "tar_far1e-6" not in result.out  # no column without a figure
    assert "mean of G1 and G2" in result.out
    assert "flip on, norm off, detector score on" in result.out


def test_a_broken_folder_is_one_sentence(edgecmp: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "ijbc_face_tid_mid.txt").write_text("1.jpg 1\n")
    result = edgecmp("eval", "--data", tmp_path)
    assert result.code == 2
    assert "Line 1 of" in result.err
    assert "`name template media`" in result.err
