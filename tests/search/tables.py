"""Latency tables that no device was measured for: by FLOPs, by chance, or against FLOPs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.architecture import tier
from edgecmp.latency import ENTRIES, LatencyTable
from edgecmp.search.flops import FlopsTable

LOWERING = "0" * 64


def table_of(entries_ms: NDArray[np.float64], **changes: Any) -> LatencyTable:
    """A table with these 320 entries; stem, head and overhead are small."""
    fields: dict[str, Any] = {
        "tier": "100M",
        "input_size": 64,
        "embedding_dim": 128,
        "precision": "fp32",
        "device": "local",
        "facts": {"machine": "synthetic"},
        "target": "tflite",
        "runtime": "litert",
        "version": "0",
        "threads": 1,
        "lowering": LOWERING,
        "statistic": "none",
        "date": "2026-01-01T00:00:00Z",
        "entries_ms": entries_ms,
        "stem_ms": 0.02,
        "head_ms": 0.03,
        "overhead_ms": 0.001,
        "scale": 1.05,
        "bias_ms": 0.01,
        "calibration": [],
        "check": None,
        "provenance": {},
    }
    return LatencyTable(**fields | changes)


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
