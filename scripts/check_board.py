"""Checks latency tables on the virtual arm64 board: against whole networks, and by rebuilding.

    make testbeds
    python -m scripts.check_board --nets 50

The clock of the board counts instructions, so the errors come from the table and not from timing.
Two boots and two builds of the 100M tier at 64 pixels take a quarter of an hour.
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
"""Limits in percent: mean error against whole networks, and change of a layer between builds."""


def build_on(board: Board, out: Path) -> LatencyTable:
    """Builds the table of the starter kit's search space on a running board."""
    return build(out, device=board.name, tier="100M", input_size=64, embedding_dim=128)


def main() -> int:
    """Builds, checks and rebuilds a table; returns 0 if both limits are met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--nets", type=int, default=50, help="number of whole networks (default 50)"
    )
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
    print(f"change of a second build: mean {change.mean():.3f} %, worst {change.max():.3f} %")
    passed = figures["mape"] <= MAX_MAPE and change.max() <= MAX_CHANGE
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
