"""Proves on many random networks that each rewrite of `edgecmp.export.lower` changes nothing.

    python scripts/check_lowering.py --networks 1000

Network number n (from --first on) has random blocks and widths, a tier and an input size in turn
(65 pixels pads otherwise than 64 does), random weights and live batch-norm statistics. Each rewrite
alone, none and all together must give the original's embeddings of two images to 1e-4 in float32
and to 1e-10 in float64. A failure names the number: `--networks 1 --first n` shows it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from edgecmp.export.lowering import REWRITES, Graph, LoweredNet, lower
from edgecmp.export.lowering.trace_query import trace
from edgecmp.files import provenance, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.random_weights import live_network, patch_images
from edgecmp.networks.tiers import BLOCKS, TIERS
from edgecmp.progress import progress, say

__all__ = ["SIZES", "TOLERANCES", "Checked", "check", "main", "variants"]

SIZES = (64, 65, 96)
"""Pixels: strides meet even sizes alone (64), odd ones alone (65), and both (96)."""

TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
"""Largest difference of one value of an embedding of unit length."""

LOWER = "all (lower)"
"""The row of `edgecmp.export.lower` as it is used."""

LIVE = 1e-2
"""Two images whose embeddings differ less than this would make agreement mean nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What was found about one network.

    Attributes:
        number: names the network, together with --seed.
        worst: by variant, then by type: the largest difference from the original's embeddings.
        spread: how far apart the original's embeddings of the two images are.
    """

    number: int
    tier: str
    input_size: int
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
        if not self.spread > LIVE:
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
def check(number: int, seed: int = 0) -> Checked:
    """Builds network `number` and compares each variant with it."""
    tiers = list(TIERS)
    own_seed = seed * 1_000_003 + number
    architecture = Architecture.random(
        tiers[number % len(tiers)],
        seed=own_seed,
        input_size=SIZES[number // len(tiers) % len(SIZES)],
    )
    network = live_network(architecture, own_seed)
    images = patch_images(2, architecture.input_size, own_seed + 2)
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
    return Checked(
        number=number,
        tier=architecture.tier,
        input_size=architecture.input_size,
        blocks=architecture.blocks,
        worst=worst,
        spread=spread,
    )


def _check(task: tuple[int, int]) -> Checked:
    """`check` for a pool."""
    return check(*task)


def table(results: Sequence[Checked]) -> str:
    """The largest difference of each variant and type."""
    lines = [f"{'rewrites':20}" + "".join(f"{dtype:>12}" for dtype in TOLERANCES)]
    for name in (*variants(), LOWER):
        worst = (max(result.worst[name][dtype] for result in results) for dtype in TOLERANCES)
        lines.append(f"{name:20}" + "".join(f"{value:>12.1e}" for value in worst))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the largest difference per rewrite; exit code 1 when one is too large."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="another set of networks (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", type=Path, help="also write every network's differences there")
    given = parser.parse_args(arguments)
    if given.networks < 1 or given.workers < 1 or given.first < 0:
        parser.error("--networks and --workers start at 1, --first at 0")
    tasks = [(given.first + number, given.seed) for number in range(given.networks)]
    results: list[Checked] = []
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(given.workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        progress("Checking", total=len(tasks), unit="network") as bar,
    ):
        for result in pool.imap_unordered(_check, tasks):
            results.append(result)
            for line in result.failures:
                say(line)
            bar.advance(1)
    failed = [result for result in results if result.failures]
    used = {BLOCKS[block] for result in results for block in result.blocks}
    print(table(results))
    print(
        f"{'FAILED' if failed else 'passed'}: {len(results)} networks, {len(used)} kinds of block, "
        f"{len({result.tier for result in results})} tiers, "
        f"{len({result.input_size for result in results})} input sizes, "
        f"{len(variants()) + 1} sets of rewrites in float32 and float64, {len(failed)} failures"
    )
    if given.json is not None:
        document = {
            "rows": [asdict(result) for result in sorted(results, key=lambda r: r.number)],
            "tolerances": TOLERANCES,
            "failures": [line for result in failed for line in result.failures],
            "settings": {key: value for key, value in vars(given).items() if key != "json"},
            "provenance": provenance(),
        }
        say(f"Wrote {write_json(given.json, document)}.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
