"""The speed of candidate evaluation, one by one and in the processes of a search.

These are the rows of `edgecmp.benchmarks.studies.supernet_speed` about the search.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch

from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.benchmarks.studies.interleaved import Seconds, comparison, timed
from edgecmp.benchmarks.studies.supernet_references import plain_scores
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.layerwise import CACHE_BYTES
from edgecmp.networks.tiers import tier
from edgecmp.search.evaluation.candidate import Evaluator, Measurement, architecture_of
from edgecmp.search.evaluation.parallelism import default_jobs
from edgecmp.search.evaluation.supernet import open_evaluator
from edgecmp.search.evaluation.workers import Workers
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.space import Space
from edgecmp.search.strategies.evolution import EvolutionSettings, next_generation

__all__ = ["DEFAULT", "evaluation_rows", "search_row"]

DEFAULT = "torch's layout"
LAYOUTS = {DEFAULT: torch.contiguous_format, "channels_last": torch.channels_last}


class _Evolution:
    """Random architectures and generations of their children, selected by R3 of top-1.

    Attributes:
        architectures: those of the current generation.
    """

    def __init__(self, evaluator: Evaluator, population: int, *, seed: int) -> None:
        table = FlopsTable.of(evaluator.tier, embedding_dim=evaluator.embedding_dim)
        self._evaluator = evaluator
        self._budget = FlopsBudget(table, tier(evaluator.tier).max_flops)
        self._settings = EvolutionSettings(population=population, retain=max(2, population // 5))
        self._rewards: dict[tuple[int, ...], float] = {}
        drawn = np.hstack(self._budget.sample(np.random.default_rng(seed), population))
        self._take(drawn.tolist())

    def breed(self, measured: Sequence[Measurement], generation: int) -> None:
        """Makes generation number `generation` from the measurements so far."""
        for architecture, found in zip(self.architectures, measured, strict=True):
            self._rewards[tuple(architecture.genes)] = found.mqq["top1"] * found.mqg["top1"]
        ranked = sorted(self._rewards, key=self._rewards.__getitem__, reverse=True)
        proposal = next_generation(
            ranked[: self._settings.population],
            {bytes(genes) for genes in self._rewards},
            Space.of(self._budget),
            self._settings,
            seed=0,
            generation=generation,
        )
        self._take(proposal.children.tolist())

    def _take(self, genes: Sequence[Sequence[int]]) -> None:
        self.architectures: list[Architecture] = [
            architecture_of(one, self._evaluator) for one in genes
        ]


def evaluation_rows(
    bundle: SupernetBundle, candidates: int, generations: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Candidate evaluation against the reference, and the largest difference of R3 by metric.

    The candidates are random ones, followed by `generations` of their children in an evolution.
    """
    evaluator = open_evaluator(bundle, gallery=None, data="emoji")
    evolution = _Evolution(evaluator, candidates, seed=0)
    rows, differences = [], dict.fromkeys(evaluator.metrics, 0.0)
    for generation in range(1, generations + 2):
        times: dict[str, list[Seconds]] = {name: [] for name in ("ours", *LAYOUTS)}
        measured: list[Measurement] = []
        for architecture in evolution.architectures:
            ours, taken = timed(partial(evaluator.evaluate, architecture))
            measured.append(ours)
            times["ours"].append(taken)
            scores = {}
            for name, layout in LAYOUTS.items():
                scores[name], taken = timed(
                    partial(plain_scores, evaluator, bundle.network, architecture, layout)
                )
                times[name].append(taken)
            for metric in evaluator.metrics:
                difference = _reward_difference(ours, scores[DEFAULT], metric)
                differences[metric] = max(differences[metric], difference)
        what = f"evaluation, generation {generation} ({len(measured)})"
        rows += [
            comparison(what, f"reference, {name}", times["ours"], times[name], 1, 3.0)
            for name in LAYOUTS
        ]
        evolution.breed(measured, generation + 1)
    return rows, differences


def _reward_difference(ours: Measurement, plain: Mapping[str, float], metric: str) -> float:
    """The absolute difference of R3 = M(q,q) * M(q,g)."""
    theirs = plain[f"qq_{metric}"] * plain[f"qg_{metric}"]
    return abs(ours.mqq[metric] * ours.mqg[metric] - theirs)


def search_row(
    bundle: SupernetBundle, population: int, generations: int
) -> tuple[dict[str, Any], float]:
    """The children of an evolution, evaluated as in a search and one by one by the reference.

    The search uses its processes, and the reference all threads of torch. The rates are per second
    of wall time, since the processor time of this process excludes the others.

    Returns:
        The comparison, and the largest difference of R3 by top-1.
    """
    threads, jobs = torch.get_num_threads(), default_jobs()
    each = max(1, threads // jobs)
    torch.set_num_threads(each)
    evaluator = open_evaluator(bundle, gallery=None, data="emoji", cache_bytes=CACHE_BYTES // jobs)
    evolution = _Evolution(evaluator, population, seed=1)
    ours_s, plain_s, difference = [], [], 0.0
    with Workers(evaluator, jobs) as workers:
        for generation in range(1, generations + 2):
            architectures = evolution.architectures
            start = time.perf_counter()
            measured = [found for found, _ in workers.measure(architectures)]
            taken_s = time.perf_counter() - start
            if generation > 1:  # the first one starts the processes
                ours_s.append(taken_s / len(architectures))
                torch.set_num_threads(threads)
                start = time.perf_counter()
                scores = [
                    plain_scores(evaluator, bundle.network, one, LAYOUTS[DEFAULT])
                    for one in architectures
                ]
                plain_s.append((time.perf_counter() - start) / len(architectures))
                apart = map(partial(_reward_difference, metric="top1"), measured, scores)
                difference = max(difference, *apart)
            evolution.breed(measured, generation + 1)
    torch.set_num_threads(threads)
    row = {
        "what": f"children, {jobs} processes of {each} thread{'s' * (each > 1)}",
        "against": f"reference, {DEFAULT}, {threads} threads",
        "ours_per_cpu_s": None,
        "theirs_per_cpu_s": None,
        "ratio": None,
        "ratio_wall": round(median(plain_s) / median(ours_s), 2),
        "goal": 3.0,
    }
    return row, difference
