"""One network: converted by every converter, timed in rounds, and stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecmp.benchmarks.peers.conversion import convert
from edgecmp.benchmarks.peers.measure import Row, measure
from edgecmp.benchmarks.peers.networks import prepare
from edgecmp.benchmarks.peers.plan import CONVERTER_ENVIRONMENTS, Plan
from edgecmp.files import read_json, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS

__all__ = ["compare", "is_whole"]


def compare(name: str, architecture: Architecture, plan: Plan) -> dict[str, Any]:
    """The results of one network: latencies, conversion times, and rates of 1x1 convolutions.

    A stored result with the same key is returned without measuring again.
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
        measured, stacks = measure(plan, folder, made, threads, macs)
        rows += [{**common, **row} for row in measured]
        rates += [{"network": name, **row} for row in stacks]
    document = {
        "key": key,
        "rows": rows,
        "rates": rates,
        "conversions": _conversion_rows(name, made),
    }
    write_json(done, document)
    return document


def _conversion_rows(network: str, made: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row per converter and precision."""
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


def is_whole(document: Mapping[str, Any]) -> bool:
    """Whether nothing failed; a failure, such as a killed conversion, is retried."""
    return all(row["verdict"] != "failed" for row in document["rows"])
