"""Latency tables that no device was measured for: by FLOPs, by chance, or against FLOPs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.architecture import tier
from edgecmp.latency import ENTRIES, LatencyTable
from edgecmp.search.flops import FlopsTable
from tests.latency_tables import make_table

LOWERING = "0" * 64


def table_of(entries_ms: NDArray[np.float64], **changes: Any) -> LatencyTable:
    """A table with these 320 entries; stem, head and overhead are small."""
    return make_table(entries_ms=entries_ms, **{"lowering": LOWERING} | changes)


def flops_like(slow7: float = 3.0, **changes: Any) -> LatencyTable:
    """0.1 ms a million FLOPs at the table's size, 7x7 blocks `slow7` times that."""
    name, size = changes.get("tier", "100M"), changes.get("input_size", 64)
    costs = FlopsTable.of(name, size, changes.get("embedding_dim", 128)).layer_flops  # (20, 40)
    rows = {(layer.stage, layer.stride): costs[layer.index] for layer in tier(name).layers}
    entries = [
        rows[stage, stride][10 * block + width] / 1e7 * (slow7 if block == 2 else 1.0) + 0.001
        for stage, stride, block, width in ENTRIES
    ]
    return table_of(np.array(entries), **changes)


def random_table(seed: int, **changes: Any) -> LatencyTable:
    """Entries between 0.01 and 0.3 ms that have nothing to do with FLOPs."""
    return table_of(np.random.default_rng(seed).uniform(0.01, 0.3, len(ENTRIES)), **changes)


def against_flops(**changes: Any) -> LatencyTable:
    """The more FLOPs, the faster: the two bounds pull in opposite directions."""
    entries = flops_like(1.0).entries_ms
    return table_of(entries.max() + 0.001 - entries, **changes)
