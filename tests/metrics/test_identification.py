"""Searches, closed-set top-k and TPIR@FPIR equal plain loops over sorted lists, ties included."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.metrics import closed_set, identification, search, top_k, tpir_insightface, tpir_nist
from edgecmp.metrics.exact_search import Embeddings, Labels

KS = (1, 2, 5)


class Task(NamedTuple):
    """Probes and two galleries that share no subject."""

    probes: Embeddings
    subjects: Labels
    galleries: list[tuple[Embeddings, Labels]]

    @property
    def merged(self) -> tuple[Embeddings, Labels]:
        first, second = self.galleries
        return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def drawn(seed: int, *, grid: bool, probes: int = 60, repeats: int = 1) -> Task:
    """Subjects 0..9 in G1, 10..17 in G2, 18..19 in neither; small integers tie often."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, 4))

    def embed(subjects: Labels) -> Embeddings:
        values = centres[subjects] + 0.7 * rng.normal(size=(len(subjects), 4))
        return (np.rint(values) if grid else values).astype(np.float32)

    rosters = [rng.permutation(np.repeat(part, repeats)) for part in (range(10), range(10, 18))]
    subjects = rng.integers(0, 20, probes)
    return Task(embed(subjects), subjects, [(embed(part), part) for part in rosters])


def rows_of(task: Task, gallery: tuple[Embeddings, Labels]) -> list[list[tuple[float, int, bool]]]:
    """For each probe, (score, place, whether it is the mate), best first."""
    found = []
    for probe, subject in zip(task.probes, task.subjects, strict=True):
        row = [
            (float(np.float32(probe @ template)), place, bool(owner == subject))
            for place, (template, owner) in enumerate(zip(*gallery, strict=True))
        ]
        found.append(sorted(row, key=lambda entry: (-entry[0], entry[1])))
    return found


def nist_by_loops(task: Task, fpir: Fraction) -> float:
    shares = []
    for gallery in task.galleries:
        rows = rows_of(task, gallery)
        strangers = sorted((r[0][0] for r in rows if not any(e[2] for e in r)), reverse=True)
        mated = [row for row in rows if any(entry[2] for entry in row)]
        limit = strangers[max(math.floor(len(strangers) * fpir), 1) - 1]
        shares.append(sum(row[0][2] and row[0][0] > limit for row in mated) / len(mated))
    return sum(shares) / len(shares)


def insightface_by_loops(task: Task, fpir: float) -> float:
    rows = rows_of(task, task.merged)
    impostors = sorted((e[0] for row in rows for e in row if not e[2]), reverse=True)
    limit = impostors[math.ceil(len(rows) * fpir) - 1]
    return sum(any(e[2] and e[0] > limit for e in row) for row in rows) / len(rows)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    grid=st.booleans(),
    repeats=st.integers(1, 2),
    part=st.integers(1, 20),
    at_once=st.sampled_from([1, 100, 2**22]),
)
def test_all_forms_equal_plain_loops(
    seed: int, grid: bool, repeats: int, part: int, at_once: int
) -> None:
    task = drawn(seed, grid=grid, repeats=repeats)
    fpir = Fraction(part, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identification, "_SCORES_AT_ONCE", at_once)
        each = [search(task.probes, task.subjects, *gallery) for gallery in task.galleries]
        merged = search(task.probes, task.subjects, *task.merged)
        other = tpir_insightface(task.probes, task.subjects, *task.merged, fpirs=[float(fpir)])
    loops = rows_of(task, task.merged)
    expected = {k: sum(any(e[2] for e in row[:k]) for row in loops) / len(loops) for k in KS}
    assert closed_set([merged], ks=KS) == expected
    apart = [rows_of(task, gallery) for gallery in task.galleries]
    hits = {k: sum(any(e[2] for e in row[:k]) for rows in apart for row in rows) for k in KS}
    assert closed_set(each, ks=KS) == {k: count / len(loops) for k, count in hits.items()}
    assert all(closed_set(each, ks=KS)[k] >= expected[k] for k in KS)
    if all(0 < one.mated.sum() < len(one.mated) for one in each):
        found = tpir_nist(each, fpirs=[float(fpir)])[float(fpir)]
        assert found == pytest.approx(nist_by_loops(task, fpir), abs=1e-12)
    assert other == {float(fpir): insightface_by_loops(task, float(fpir))}


@pytest.mark.parametrize("seed", range(3))
def test_searches_have_rank_mate_and_rival(seed: int) -> None:
    task = drawn(seed, grid=True, repeats=2)
    gallery = task.galleries[0]
    found = search(task.probes, task.subjects, *gallery)
    for place, row in enumerate(rows_of(task, gallery)):
        own = [number for number, entry in enumerate(row) if entry[2]]
        assert found.rank[place] == (own[0] if own else len(row))
        assert found.mated[place] == bool(own)
        assert found.mate[place] == (row[own[0]][0] if own else -np.inf)
        assert found.rival[place] == next(entry[0] for entry in row if not entry[2])
    known = found.mated
    ks = (1, 3, 10)
    expected = top_k(task.probes[known], task.subjects[known], *gallery, ks=ks)
    assert {k: float((found.rank[known] < k).mean()) for k in ks} == expected


def test_the_two_forms_of_tpir_differ() -> None:
    task = drawn(1, grid=False, probes=400)
    each = [search(task.probes, task.subjects, *gallery) for gallery in task.galleries]
    nist = tpir_nist(each, fpirs=[0.01, 0.1])
    other = tpir_insightface(task.probes, task.subjects, *task.merged, fpirs=[0.01, 0.1])
    assert 0 < nist[0.01] < nist[0.1] < 1
    assert nist != other


def test_a_gallery_with_all_subjects_or_none_is_refused() -> None:
    task = drawn(0, grid=False)
    for subjects in (np.zeros(60, np.int64), np.full(60, 99)):
        one = search(task.probes, subjects, *task.galleries[0])
        with pytest.raises(
            UserError, match=rf"The subjects of {one.mated.sum()} of 60 probes are in the gallery"
        ):
            tpir_nist([one], fpirs=[0.1])
    with pytest.raises(UserError, match="impostor pairs"):
        tpir_insightface(task.probes, np.zeros(60), task.probes[:1], np.zeros(1), fpirs=[0.1])
