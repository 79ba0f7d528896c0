"""Proves on many random networks that each rewrite of `edgecmp.export.lower` changes nothing.

    python -m scripts.check_lowering --networks 1000

Each rewrite alone, none and all together must return the original's embeddings of two images to
1e-4 in float32 and to 1e-10 in float64. `scripts.random_networks` says which networks these are
(an input of 65 pixels pads otherwise than one of 64). A failure names the network's number:
`--networks 1 --first n` shows it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edgecmp.export.lowering import REWRITES, Graph, LoweredNet, lower
from edgecmp.export.lowering.trace_query import trace
from edgecmp.networks.query import QueryNet
from edgecmp.networks.tiers import BLOCKS
from scripts.random_networks import (
    Result,
    check_networks,
    conclude,
    numbered_network,
    parse_arguments,
)

__all__ = ["LOWER", "TOLERANCES", "LoweringResult", "check", "main", "variants"]

TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
"""Largest difference of one value of an embedding of unit length."""

LOWER = "all (lower)"
"""The row of `edgecmp.export.lower` as it is used."""

LEAST_SPREAD = 1e-2
"""Two images whose embeddings differ less than this would make agreement mean nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoweringResult(Result):
    """The result of one network.

    Attributes:
        blocks: the kind of block of each layer.
        worst: by variant, then by type: the largest difference from the original's embeddings.
        spread: how far apart the original's embeddings of the two images are.
    """

    blocks: tuple[int, ...]
    worst: dict[str, dict[str, float]]
    spread: float

    @property
    def failures(self) -> list[str]:
        """One line for each variant and type beyond its tolerance."""
        name = f"network {self.number} ({self.tier}, {self.input_size} px)"
        lines = [
            f"{name}: {variant} differs by {difference:.1e} in {dtype}"
            for variant, by_type in self.worst.items()
            for dtype, difference in by_type.items()
            if not difference <= TOLERANCES[dtype]
        ]
        if not self.spread > LEAST_SPREAD:
            lines.append(f"{name}: its embeddings do not differ from image to image")
        return lines


def _rewritten(network: QueryNet, chosen: Sequence[str]) -> Graph:
    """The network's graph, in float64, after some of the rewrites."""
    graph = trace(network, network.architecture.input_size)
    for name in chosen:
        graph = REWRITES[name](graph)
    return graph


def variants() -> dict[str, tuple[str, ...]]:
    """What is rewritten: nothing, or by one rewrite alone; `LOWER` is all of them."""
    return {"none": (), **{name: (name,) for name in REWRITES}}


@torch.no_grad()
def check(number: int, seed: int = 0) -> LoweringResult:
    """Builds network `number` and compares each variant with it."""
    architecture, network, images = numbered_network(number, seed)
    graphs = {name: _rewritten(network, chosen) for name, chosen in variants().items()}
    worst: dict[str, dict[str, float]] = {name: {} for name in (*graphs, LOWER)}
    spread = 0.0
    for dtype in (torch.float32, torch.float64):
        network.to(dtype)
        batch = images.to(dtype)
        expected = network(batch)
        spread = float((expected[0] - expected[1]).abs().max())
        lowered = {name: LoweredNet(graph.to(dtype)) for name, graph in graphs.items()}
        for name, module in {**lowered, LOWER: lower(network)}.items():
            difference = float((module(batch) - expected).abs().max())
            worst[name][str(dtype).removeprefix("torch.")] = difference
    return LoweringResult(
        number=number,
        tier=architecture.tier,
        input_size=architecture.input_size,
        blocks=architecture.blocks,
        worst=worst,
        spread=spread,
    )


def table(results: Sequence[LoweringResult]) -> str:
    """The largest difference of each variant and type."""
    lines = [f"{'rewrites':20}" + "".join(f"{dtype:>12}" for dtype in TOLERANCES)]
    for name in (*variants(), LOWER):
        worst = (max(result.worst[name][dtype] for result in results) for dtype in TOLERANCES)
        lines.append(f"{name:20}" + "".join(f"{value:>12.1e}" for value in worst))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the largest difference per rewrite; exit code 1 when one is too large."""
    given = parse_arguments(
        __doc__,
        networks=1000,
        json_help="also write every network's differences there",
        arguments=arguments,
    )
    results = check_networks(check, given)
    print(table(results))
    blocks = {BLOCKS[block] for result in results for block in result.blocks}
    summary = (
        f"{len(blocks)} kinds of block, {len({result.tier for result in results})} tiers, "
        f"{len({result.input_size for result in results})} input sizes, "
        f"{len(variants()) + 1} sets of rewrites in float32 and float64"
    )
    conclude(results, given, summary=summary, limits={"tolerances": TOLERANCES})


if __name__ == "__main__":
    main()
