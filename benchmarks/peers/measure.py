"""One session: every contender of a network timed in rounds at one thread count.

A contender counts only if its embedding equals that of the network. Stacks of 1x1 convolutions are
visited as well: their rate is the practical limit of the machine in that session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.benchmarks.peers.environment import ENVIRONMENTS
from edgecmp.benchmarks.peers.figures import (
    Visit,
    cpu_p50_ms,
    cpu_ratio,
    gflops_per_s,
    p50_ms,
    preempted,
    ratio,
)
from edgecmp.benchmarks.peers.networks import rate_graph_macs, rate_models
from edgecmp.benchmarks.peers.plan import CONTENDERS, CONVERTER_ENVIRONMENTS, Contender, Plan
from edgecmp.benchmarks.peers.session import Server, serving
from edgecmp.errors import UserError

__all__ = ["Row", "measure"]

Row = dict[str, Any]

TOLERANCE = 1e-3
"""Largest accepted difference of a value of the embedding."""

STACK = "1x1 "
"""Prefix of the name of a stack of 1x1 convolutions, which is not a contender."""

Key = tuple[str, str]
"""A runtime and the name of a model."""


@dataclass(frozen=True, slots=True)
class _Session:
    """The results of one session, each by runtime and model.

    Attributes:
        visits: the visits, one per round.
        versions: the version of the runtime.
        differences: the difference between the embedding and that of the network.
        refused: verdict and reason of the models that are not measured.
    """

    visits: dict[Key, list[Visit]] = field(default_factory=dict)
    versions: dict[Key, str | None] = field(default_factory=dict)
    differences: dict[Key, float] = field(default_factory=dict)
    refused: dict[Key, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rates:
    """GFLOP/s of the fastest stack of 1x1 convolutions by runtime, by wall and processor time."""

    by_wall: dict[str, float] = field(default_factory=dict)
    by_cpu: dict[str, float] = field(default_factory=dict)


def measure(
    plan: Plan, folder: Path, made: Mapping[str, Mapping[str, Any]], threads: int, macs: int
) -> tuple[list[Row], list[Row]]:
    """Times every contender and every stack of 1x1 convolutions at one thread count.

    Args:
        plan: the settings of the comparison.
        folder: folder of the network, with image.npy and embedding.npy.
        made: the document of each conversion, by converter.
        threads: number of threads of each runtime.
        macs: multiply-adds of the network.

    Returns:
        The rows of the contenders, and those of the stacks.

    Raises:
        UserError: the file of edgecmp does not run.
    """
    session = _run_session(plan, folder, made, threads)
    rate_rows, rates = _rate_rows(session, threads)
    ours = CONTENDERS[0].runtime, CONTENDERS[0].name
    if ours not in session.visits:
        raise UserError(
            "The file of edgecmp does not run, so there is nothing to compare with: "
            f"{session.refused[ours][1]}.",
            f"See the logs in {folder}.",
        )
    rows = []
    for contender in CONTENDERS:
        key = contender.runtime, contender.name
        verdict, reason = session.refused.get(key, ("measured", ""))
        row: Row = {
            "contender": contender.name,
            "runtime": contender.runtime,
            "version": session.versions.get(key),
            "threads": threads,
            "p50_ms": None,
            "ratio": None,
            "share_of_rate": None,
            "cpu_p50_ms": None,
            "cpu_ratio": None,
            "cpu_share_of_rate": None,
            "preempted": None,
            "difference": session.differences.get(key),
            "verdict": verdict,
            "reason": reason,
        }
        if key in session.visits:
            visits, reference = session.visits[key], session.visits[ours]
            row |= _wall_figures(visits, reference, macs, rates.by_wall.get(contender.runtime))
            if threads == 1:
                row |= _cpu_figures(visits, reference, macs, rates.by_cpu.get(contender.runtime))
        rows.append(row)
    return rows, rate_rows


def _run_session(
    plan: Plan, folder: Path, made: Mapping[str, Mapping[str, Any]], threads: int
) -> _Session:
    """Loads every model, then visits the correct ones in rounds."""
    session = _Session()
    models: dict[Key, dict[str, Path]] = {}
    for contender in CONTENDERS:
        path = _file_of(contender, plan, folder, made)
        if isinstance(path, Path):
            models.setdefault((contender.runtime, contender.environment), {})[contender.name] = path
        else:
            session.refused[contender.runtime, contender.name] = path
    stacks = {f"{STACK}{name}": path for name, path in rate_models(plan.out).items()}
    for runtime in ("litert", "tflite-runtime"):
        models.setdefault((runtime, "own"), {}).update(stacks)
    expected = np.load(folder / "embedding.npy", allow_pickle=False).reshape(-1)
    with serving(
        models,
        environments=plan.environments,
        image=folder / "image.npy",
        threads=threads,
        logs=folder,
    ) as (servers, lost):
        session.refused.update({key: ("failed", reason) for key, reason in lost.items()})
        for server in servers:
            _examine(server, expected, session)
        active = [
            (server, model)
            for server in servers
            for model in server.models
            if (server.runtime, model) not in session.refused
        ]
        for _ in range(plan.rounds):
            for server, model in active:
                answer = server.visit(model, plan.visit_ms)
                session.visits.setdefault((server.runtime, model), []).append(answer)
    return session


def _file_of(
    contender: Contender, plan: Plan, folder: Path, made: Mapping[str, Mapping[str, Any]]
) -> Path | tuple[str, str]:
    """The file of a contender, or the verdict and the reason why there is none."""
    peer = CONVERTER_ENVIRONMENTS.get(contender.converter or "", contender.environment)
    if peer not in plan.environments:
        return "not run", f"use --{peer}-python; to create one: {ENVIRONMENTS[peer]}"
    if contender.converter is None:
        return folder / "network"
    document = made[contender.converter]
    entry = document.get("files", {}).get("fp32", document)
    if "file" not in entry:
        return "failed", str(entry.get("reason"))
    return folder / str(entry["file"])


def _examine(server: Server, expected: NDArray[np.float32], session: _Session) -> None:
    """Records version and difference of each model, and refuses the incorrect ones."""
    for model, fact in server.facts.items():
        key = server.runtime, model
        session.versions[key] = fact.get("version")
        if "reason" in fact:
            session.refused[key] = "failed", str(fact["reason"])
        elif not model.startswith(STACK):
            difference = _difference(fact["embedding"], expected)
            session.differences[key] = difference
            if not difference <= TOLERANCE:
                session.refused[key] = "failed", f"its embedding differs by {difference:.1e}"


def _difference(embedding: Sequence[float], expected: NDArray[np.float32]) -> float:
    """The largest difference of a value; infinite if the sizes differ."""
    values = np.array(embedding)
    same = values.shape == expected.shape
    return float(np.abs(values - expected).max()) if same else float("inf")


def _rate_rows(session: _Session, threads: int) -> tuple[list[Row], _Rates]:
    """One row per stack of 1x1 convolutions and runtime, and the fastest of each runtime."""
    rows: list[Row] = []
    rates = _Rates()
    for (runtime, model), visits in session.visits.items():
        if not model.startswith(STACK):
            continue
        shape = model.removeprefix(STACK)
        channels, side, _ = map(int, shape.split("x"))
        macs = rate_graph_macs(channels, side)
        milliseconds = p50_ms(visits)
        rate, cpu_rate = gflops_per_s(macs, milliseconds), gflops_per_s(macs, cpu_p50_ms(visits))
        rates.by_wall[runtime] = max(rates.by_wall.get(runtime, 0.0), rate)
        rates.by_cpu[runtime] = max(rates.by_cpu.get(runtime, 0.0), cpu_rate)
        rows.append(
            {
                "runtime": runtime,
                "threads": threads,
                "shape": shape,
                "p50_ms": milliseconds,
                "gflops": rate,
            }
        )
    return rows, rates


def _wall_figures(
    visits: Sequence[Visit], reference: Sequence[Visit], macs: int, best_rate: float | None
) -> Row:
    """The figures from a contender's wall time; the share is None for a runtime without stacks."""
    milliseconds = p50_ms(visits)
    return {
        "p50_ms": milliseconds,
        "ratio": ratio(visits, reference),
        "share_of_rate": best_rate and gflops_per_s(macs, milliseconds) / best_rate,
        "preempted": preempted(visits),
    }


def _cpu_figures(
    visits: Sequence[Visit], reference: Sequence[Visit], macs: int, best_rate: float | None
) -> Row:
    """The figures from its processor time, which is meaningful only with one thread."""
    milliseconds = cpu_p50_ms(visits)
    return {
        "cpu_p50_ms": milliseconds,
        "cpu_ratio": cpu_ratio(visits, reference),
        "cpu_share_of_rate": best_rate and gflops_per_s(macs, milliseconds) / best_rate,
    }
