"""One network: converted by everybody, timed in turns, and judged by its embedding first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgecmp.benchmarks.peers.networks import prepare, rate_graph_macs, rate_models
from edgecmp.benchmarks.peers.plan import CONTENDERS, CONVERTER_ENVIRONMENTS, Contender, Plan
from edgecmp.benchmarks.peers.report import (
    cpu_p50_ms,
    cpu_ratio,
    gflops_per_s,
    p50_ms,
    preempted,
    ratio,
)
from edgecmp.benchmarks.peers.session import ENVIRONMENTS, Server, ServerLostError, convert
from edgecmp.errors import UserError
from edgecmp.files import read_json, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS

__all__ = ["compare", "is_whole"]

Row = dict[str, Any]

TOLERANCE = 1e-3
"""Largest difference of one value of the embedding before a contender counts as wrong."""


def compare(name: str, architecture: Architecture, plan: Plan) -> dict[str, Any]:
    """Everything about one network: rows of latency, of conversion, and rates of 1x1 convolutions.

    A result with the same key is read, not measured.
    """
    from edgecmp.search.space.flops import FlopsTable

    folder = plan.out / "networks" / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    done, key = folder / "result.json", plan.key(architecture)
    if done.exists():
        document = read_json(done, what="the result of a network")
        if document["key"] == key and is_whole(document):
            return document
    network = prepare(architecture, folder)
    made = {
        converter: convert(
            converter,
            plan.environments[CONVERTER_ENVIRONMENTS.get(converter, "own")],
            network,
            folder,
            key=plan.conversion_key(converter, architecture),
        )
        for converter in plan.converters()
    }
    macs = FlopsTable.of(architecture.tier, architecture.input_size).macs(architecture)
    common = {
        "network": name,
        "macs": macs,
        "has_7x7": BLOCKS.index("shuffle7") in architecture.blocks,
    }
    rows: list[Row] = []
    rates: list[Row] = []
    for threads in plan.threads:
        found, speeds = _measure(plan, folder, made, threads, macs)
        rows += [{**common, **row} for row in found]
        rates += [{"network": name, **row} for row in speeds]
    document = {
        "key": key,
        "rows": rows,
        "rates": rates,
        "conversions": _conversion_rows(name, made),
    }
    write_json(done, document)
    return document


def _conversion_rows(network: str, made: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row for each converter and precision."""
    rows: list[Row] = []
    for converter, document in made.items():
        common = {"network": network, "converter": converter, "versions": document.get("versions")}
        for precision, entry in document.get("files", {"": document}).items():
            rows.append(
                {
                    **common,
                    "precision": precision,
                    "seconds": entry.get("seconds"),
                    "process_seconds": document.get("process_seconds"),
                    "reason": entry.get("reason", ""),
                }
            )
    return rows


def _measure(
    plan: Plan, folder: Path, made: Mapping[str, Mapping[str, Any]], threads: int, macs: int
) -> tuple[list[Row], list[Row]]:
    """One session: every contender and every rate at one thread count."""
    expected = np.load(folder / "embedding.npy", allow_pickle=False).reshape(-1)
    refused: dict[Contender, tuple[str, str]] = {}
    models: dict[tuple[str, str], dict[str, Path]] = {}
    for contender in CONTENDERS:
        path = _file_of(contender, plan, folder, made)
        if isinstance(path, Path):
            place = (contender.runtime, contender.environment)
            models.setdefault(place, {})[contender.name] = path
        else:
            refused[contender] = path
    stacks = {f"1x1 {name}": path for name, path in rate_models(plan.out).items()}
    for runtime in ("litert", "tflite-runtime"):
        models.setdefault((runtime, "own"), {}).update(stacks)
    visits: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with _serving(plan, folder, models, threads) as (servers, lost):
        for server in servers:
            for model, fact in server.facts.items():
                wrong = _wrong(fact, expected) if model not in stacks else fact.get("reason", "")
                if wrong:
                    lost[server.runtime, model] = wrong
        active = [(s, m) for s in servers for m in s.models if (s.runtime, m) not in lost]
        for _ in range(plan.rounds):
            for server, model in active:
                answer = server.visit(model, plan.visit_ms)
                visits.setdefault((server.runtime, model), []).append(answer)
        versions = {
            (s.runtime, m): fact.get("version") for s in servers for m, fact in s.facts.items()
        }
        differences = {
            (s.runtime, m): _difference(fact, expected)
            for s in servers
            for m, fact in s.facts.items()
            if m not in stacks and "embedding" in fact
        }
    rates: list[Row] = []
    best: dict[str, float] = {}
    best_by_cpu: dict[str, float] = {}
    for (runtime, model), samples in visits.items():
        if model in stacks:
            milliseconds = p50_ms(samples)
            speed = gflops_per_s(_macs_of(model), milliseconds)
            best[runtime] = max(best.get(runtime, 0.0), speed)
            by_cpu = gflops_per_s(_macs_of(model), cpu_p50_ms(samples))
            best_by_cpu[runtime] = max(best_by_cpu.get(runtime, 0.0), by_cpu)
            shape = model.removeprefix("1x1 ")
            rates.append(
                {
                    "runtime": runtime,
                    "threads": threads,
                    "shape": shape,
                    "p50_ms": milliseconds,
                    "gflops": speed,
                }
            )
    reference = visits.get((CONTENDERS[0].runtime, CONTENDERS[0].name))
    if reference is None:
        reason = lost.get((CONTENDERS[0].runtime, CONTENDERS[0].name)) or refused[CONTENDERS[0]][1]
        raise UserError(
            f"Our own file does not run, so that there is nothing to compare with: {reason}.",
            f"See the logs in {folder}.",
        )
    rows: list[Row] = []
    for contender in CONTENDERS:
        where = (contender.runtime, contender.name)
        row: Row = {
            "contender": contender.name,
            "runtime": contender.runtime,
            "version": versions.get(where),
            "threads": threads,
            "p50_ms": None,
            "ratio": None,
            "share_of_rate": None,
            "cpu_p50_ms": None,
            "cpu_ratio": None,
            "cpu_share_of_rate": None,
            "preempted": None,
            "difference": differences.get(where),
            "verdict": "measured",
            "reason": "",
        }
        if contender in refused or where in lost:
            row["verdict"], row["reason"] = refused.get(contender, ("failed", lost.get(where, "")))
        else:
            row["p50_ms"] = p50_ms(visits[where])
            row["ratio"] = ratio(visits[where], reference)
            row["preempted"] = preempted(visits[where])
            if threads == 1:
                row["cpu_p50_ms"] = cpu_p50_ms(visits[where])
                row["cpu_ratio"] = cpu_ratio(visits[where], reference)
            if contender.runtime in best:
                speed = gflops_per_s(macs, row["p50_ms"])
                row["share_of_rate"] = speed / best[contender.runtime]
                if threads == 1:
                    speed = gflops_per_s(macs, row["cpu_p50_ms"])
                    row["cpu_share_of_rate"] = speed / best_by_cpu[contender.runtime]
        rows.append(row)
    return rows, rates


def _file_of(
    contender: Contender, plan: Plan, folder: Path, made: Mapping[str, Mapping[str, Any]]
) -> Path | tuple[str, str]:
    """A contender's file, or verdict and reason why there is none."""
    peer = CONVERTER_ENVIRONMENTS.get(contender.converter or "", contender.environment)
    if peer not in plan.environments:
        return "not run", f"name a --{peer}-python; {ENVIRONMENTS[peer]}"
    if contender.converter is None:
        return folder / "network"
    document = made[contender.converter]
    entry = document.get("files", {}).get("fp32", document)
    if "file" not in entry:
        return "failed", str(entry.get("reason"))
    return folder / str(entry["file"])


@contextmanager
def _serving(
    plan: Plan,
    folder: Path,
    models: Mapping[tuple[str, str], Mapping[str, Path]],
    threads: int,
) -> Iterator[tuple[list[Server], dict[tuple[str, str], str]]]:
    """The servers, each ready, and what no server can hold: (runtime, model) and the reason.

    Where a process dies, its models are opened one by one to find out which of them it is.
    """
    lost: dict[tuple[str, str], str] = {}

    def server(runtime: str, environment: str, held: Mapping[str, Path]) -> Server:
        return Server(
            runtime=runtime,
            environment=plan.environments[environment],
            models=held,
            image=folder / "image.npy",
            threads=threads,
            log=folder / f"serve-{runtime}.log",
        )

    with ExitStack() as stack:
        servers: list[Server] = []
        for (runtime, environment), held in models.items():
            alive = dict(held)
            try:
                one = stack.enter_context(server(runtime, environment, alive))
                one.ready()
            except ServerLostError:
                for model, path in held.items():
                    try:
                        with server(runtime, environment, {model: path}) as probe:
                            probe.ready()
                    except ServerLostError as error:
                        lost[runtime, model] = f"the process died ({error})"
                        del alive[model]
                if not alive:
                    continue
                one = stack.enter_context(server(runtime, environment, alive))
                one.ready()
            servers.append(one)
        yield servers, lost


def _difference(fact: Mapping[str, Any], expected: np.ndarray[Any, Any]) -> float:
    found = np.array(fact["embedding"])
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")


def _wrong(fact: Mapping[str, Any], expected: np.ndarray[Any, Any]) -> str:
    """Why a model that was opened does not count, or nothing."""
    if "reason" in fact:
        return str(fact["reason"])
    difference = _difference(fact, expected)
    return "" if difference <= TOLERANCE else f"its embedding differs by {difference:.1e}"


def _macs_of(model: str) -> int:
    channels, side, _ = model.removeprefix("1x1 ").split("x")
    return rate_graph_macs(int(channels), int(side))


def is_whole(document: Mapping[str, Any]) -> bool:
    """Whether nothing failed: what did, a killed conversion perhaps, is tried again."""
    return all(row["verdict"] != "failed" for row in document["rows"])
