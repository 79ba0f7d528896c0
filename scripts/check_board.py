"""Latency tables on the virtual arm64 board: against whole networks, and built twice.

    make testbeds
    python -m scripts.check_board --nets 50

The board's clock counts instructions, so what is left of the errors is the table's own. Two boots
and two builds of the 100M tier at 64 pixels: a quarter of an hour.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.benchmarks.latency import build, check
from tests.testbeds.board import Board

__all__ = ["main"]

MAX_MAPE, MAX_CHANGE = 1.0, 0.5
"""Percent: mean error against whole networks, and change of a layer from one build to the next."""


def build_on(board: Board, out: Path) -> LatencyTable:
    """The table of the starter kit's space on a booted board."""
    return build(out, device=board.name, tier="100M", input_size=64, embedding_dim=128)


def main() -> int:
    """Builds, checks and builds again; 0 if both bounds hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", type=int, default=50, help="whole networks (default 50)")
    nets = parser.parse_args().nets
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.json"
        with Board.boot() as board:
            first = build_on(board, path)
            figures = check(path, nets=nets).rows[0]
        print(
            f"{nets} networks: mean error {figures['mape']:.3f} %, worst "
            f"{figures['max_error']:.3f} %, Kendall tau {figures['tau']}",
            flush=True,
        )
        with Board.boot() as board:
            second = build_on(board, Path(folder) / "again.json")
    change = 100 * np.abs(second.entries_ms / first.entries_ms - 1)
    print(f"built again: {change.mean():.3f} % on average, {change.max():.3f} % at most")
    passed = figures["mape"] <= MAX_MAPE and change.max() <= MAX_CHANGE
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
