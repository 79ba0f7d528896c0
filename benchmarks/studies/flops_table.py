"""The speed of the FLOPs table, compared with fvcore on the same architectures.

python -m edgecmp.benchmarks.studies.flops_table
"""

from __future__ import annotations

import logging
import time

import numpy as np
import torch
from fvcore.nn import FlopCountAnalysis

from edgecmp.benchmarks.studies.study import study_parser
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import DEPTH, TIERS
from edgecmp.search.space.flops import FlopsTable

__all__ = ["main"]

CANDIDATES = 2_000_000
ROUNDS = 5
NETWORKS = 5


def main() -> None:
    """Prints one line per tier, from processor time, which other programs hardly affect."""
    study_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 4, (CANDIDATES, DEPTH), dtype=np.uint8)
    widths = rng.integers(0, 10, (CANDIDATES, DEPTH), dtype=np.uint8)
    for tier in TIERS:
        table = FlopsTable.of(tier)
        table_seconds = []
        for _ in range(ROUNDS):
            start = time.process_time()
            table.counts(blocks, widths)
            table_seconds.append(time.process_time() - start)
        fvcore_seconds = []
        mismatches = 0
        for seed in range(NETWORKS):
            architecture = Architecture.random(tier, seed=seed)
            start = time.process_time()
            analysis = FlopCountAnalysis(architecture.build().eval(), torch.zeros(1, 3, 224, 224))
            total = int(analysis.unsupported_ops_warnings(False).total())
            fvcore_seconds.append(time.process_time() - start)
            mismatches += total != table.count(architecture)
        rate = CANDIDATES / min(table_seconds)
        each = min(fvcore_seconds)
        print(
            f"{tier}: table {rate / 1e6:.1f} M candidates/s, fvcore {each * 1e3:.0f} ms per "
            f"network ({rate * each:.2g} times as fast), {mismatches} mismatches of {NETWORKS}"
        )


if __name__ == "__main__":
    main()
