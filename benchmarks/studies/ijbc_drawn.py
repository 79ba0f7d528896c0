"""Random embeddings and lists of IJB-C's size, for `edgecmp.benchmarks.studies.ijbc_size`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.data.ijbc import Pairs, Protocols, Roster
from edgecmp.metrics.exact_search import Embeddings

__all__ = ["Sizes", "World", "draw"]

DIMENSIONS = 128
NOISE = {"g": 0.8, "q": 1.2}
"""Standard deviation of templates and images around their subject, chosen so that TAR@FAR and
TPIR@FPIR are far from 0 and 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Numbers of images, templates and pairs; those of IJB-C by default."""

    images: int = 469_375
    g1: int = 1_772
    g2: int = 1_759
    probes: int = 19_593
    pairs: int = 15_658_489
    genuine: int = 19_557

    @property
    def gallery(self) -> int:
        """Number of templates of both galleries, one per subject."""
        return self.g1 + self.g2

    @property
    def templates(self) -> int:
        """Number of all templates: those of the galleries, then those of the probes."""
        return self.gallery + self.probes


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Random faces: the gallery templates come first, one per subject, then those of the probes."""

    rows: NDArray[Any]  # (N,) template of each image
    media: NDArray[Any]  # (N,)
    scores: NDArray[Any]  # (N,) of the detector
    features: dict[str, Embeddings]  # of the gallery model and of the query network, (N, D)
    protocols: Protocols


def draw(sizes: Sizes, seed: int) -> World:
    """Random faces and protocols of the given sizes."""
    rng = np.random.default_rng(seed)
    everybody = np.arange(sizes.gallery)
    # every subject has at least one probe
    probe_subjects = np.append(everybody, rng.integers(0, sizes.gallery, sizes.probes))
    probe_subjects = rng.permutation(probe_subjects[: sizes.probes])
    subjects = np.append(everybody, probe_subjects)  # (T,)
    templates = np.arange(sizes.templates)
    rows = np.append(templates, rng.integers(0, sizes.templates, sizes.images))[: sizes.images]
    media = rng.integers(0, max(2, sizes.images // 3), sizes.images)
    centres = rng.normal(size=(sizes.gallery, DIMENSIONS)).astype(np.float32)
    shared = rng.standard_normal((sizes.templates, DIMENSIONS), np.float32)
    features = {}
    for letter, noise in NOISE.items():
        drawn = rng.standard_normal((sizes.images, DIMENSIONS), np.float32)
        drawn = centres[subjects[rows]] + noise * (shared[rows] + drawn)
        features[letter] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    g1, g2 = np.split(everybody, [sizes.g1])
    probe_rows = templates[sizes.gallery :]
    return World(
        rows=rows,
        media=media,
        scores=rng.uniform(0.5, 1, sizes.images).astype(np.float32),
        features=features,
        protocols=Protocols(
            pairs=_draw_pairs(sizes, probe_subjects, rng),
            g1=Roster(rows=g1.astype(np.int32), subjects=g1),
            g2=Roster(rows=g2.astype(np.int32), subjects=g2),
            probes=Roster(rows=probe_rows.astype(np.int32), subjects=probe_subjects),
        ),
    )


def _draw_pairs(sizes: Sizes, probe_subjects: NDArray[Any], rng: np.random.Generator) -> Pairs:
    """Genuine pairs of different probes, and impostor pairs, sorted by enrolled template."""
    own = rng.permutation(sizes.probes)[: sizes.genuine]
    count = sizes.pairs - sizes.genuine
    probes = rng.integers(0, sizes.probes, count)
    others = rng.integers(1, sizes.gallery, count)  # offset from the probe's own subject
    enrolled = np.append(probe_subjects[own], (probe_subjects[probes] + others) % sizes.gallery)
    order = np.argsort(enrolled, kind="stable")
    return Pairs(
        enrolled=enrolled[order].astype(np.int32),
        probes=(np.append(own, probes)[order] + sizes.gallery).astype(np.int32),
        genuine=order < sizes.genuine,
    )
