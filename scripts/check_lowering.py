"""Checks on many random networks that the rewrites of `edgecmp.export.lower` preserve embeddings.

    python -m scripts.check_lowering --networks 1000

With each rewrite alone, with none and with all, the embeddings of two images must equal the
original's to 1e-4 in float32 and to 1e-10 in float64. `scripts.random_networks` describes the
networks (an input of 65 pixels is padded differently than one of 64). A failure names the number of
the network: `--networks 1 --first n` repeats it.
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
"""Largest accepted difference of a value of an embedding of unit length."""

LOWER = "all (lower)"
"""The row of `edgecmp.export.lower` with its default settings."""

LEAST_SPREAD = 1e-2
"""Least difference between the embeddings of the two images, without which the check is void."""


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
        """One line per variant and type that exceeds its tolerance."""
        name = f"network {self.number} ({self.tier}, {self.input_size} px)"
        lines = [
            f"{name}: {variant} differs by {difference:.1e} in {dtype}"
            for variant, by_type in self.worst.items()
            for dtype, difference in by_type.items()
            if not difference <= TOLERANCES[dtype]
        ]
        if not self.spread > LEAST_SPREAD:
            lines.append(f"{name}: the embeddings of both images are the same")
        return lines


def _rewritten(network: QueryNet, chosen: Sequence[str]) -> Graph:
    """The graph of the network, in float64, after the given rewrites."""
    graph = trace(network, network.architecture.input_size)
    for name in chosen:
        graph = REWRITES[name](graph)
    return graph


def variants() -> dict[str, tuple[str, ...]]:
    """By name: the rewrites of a variant, which are none or a single one."""
    return {"none": (), **{name: (name,) for name in REWRITES}}


@torch.no_grad()
def check(number: int, seed: int = 0) -> LoweringResult:
    """Builds network `number` and compares each variant with the original."""
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
    """The largest difference per variant and type, as text."""
    lines = [f"{'rewrites':20}" + "".join(f"{dtype:>12}" for dtype in TOLERANCES)]
    for name in (*variants(), LOWER):
        worst = (max(result.worst[name][dtype] for result in results) for dtype in TOLERANCES)
        lines.append(f"{name:20}" + "".join(f"{value:>12.1e}" for value in worst))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the largest difference per variant; exit code 1 if one exceeds its tolerance."""
    given = parse_arguments(
        __doc__,
        networks=1000,
        json_help="also write the differences of every network to this file",
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
