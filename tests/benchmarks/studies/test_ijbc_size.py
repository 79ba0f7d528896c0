"""At a hundredth of IJB-C's size every figure equals its reference."""

from __future__ import annotations

import numpy as np
import pytest

from edgecmp.benchmarks.studies.ijbc_drawn import Sizes, draw
from edgecmp.benchmarks.studies.ijbc_size import LIMIT_GIB, measure

SMALL = Sizes(images=2_000, g1=30, g2=28, probes=200, pairs=10_000, genuine=190)


def test_every_step_equals_its_reference() -> None:
    rows, figures = measure(SMALL)
    compared = [row for row in rows if "difference" in row]
    assert [row["step"] for row in compared] == [
        "read the list of pairs",
        "templates g",
        "templates q",
        "pair scores",
        "all figures, nist",
        "all figures, insightface",
    ]
    assert all(float(row["difference"]) < 1e-6 for row in compared)
    assert all(0 < row["peak_gib"] < LIMIT_GIB for row in rows)
    assert figures["nist"]["tar_far1e-3"] is not None
    assert 0.2 < figures["nist"]["tpir_fpir1e-1"] < figures["nist"]["top20"] <= 1
    assert figures["nist"] != figures["insightface"]


def test_the_lists_are_drawn_as_ijbc_has_them() -> None:
    lists = draw(SMALL, 0).protocols
    pairs, probes = lists.pairs, lists.probes
    assert (len(pairs.genuine), pairs.genuine.sum()) == (10_000, 190)
    subjects = dict(zip(probes.rows.tolist(), probes.subjects.tolist(), strict=True))
    same = [subjects[row] for row in pairs.probes.tolist()] == pairs.enrolled
    assert np.array_equal(same, pairs.genuine)
    assert (np.diff(pairs.enrolled) >= 0).all()


@pytest.mark.parametrize("sizes", [SMALL, Sizes()])
def test_there_is_one_template_a_subject_in_the_galleries(sizes: Sizes) -> None:
    assert sizes.gallery == sizes.g1 + sizes.g2
    assert sizes.templates == sizes.gallery + sizes.probes
    assert Sizes().templates == 23_124
