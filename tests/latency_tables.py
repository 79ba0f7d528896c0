"""Latency tables made up for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecmp.latency import ENTRIES, LatencyTable

__all__ = ["make_table"]


def make_table(**changes: Any) -> LatencyTable:
    """A table of the 100M tier at 64 pixels with random entries, between 1 and 40 us."""
    fields: dict[str, Any] = {
        "tier": "100M",
        "input_size": 64,
        "embedding_dim": 128,
        "precision": "fp32",
        "device": "local",
        "facts": {"machine": "x86_64", "cores": 2},
        "target": "tflite",
        "runtime": "litert",
        "version": "2.3.0",
        "delegate": "XNNPACK",
        "threads": 1,
        "lowering": "ab" * 32,
        "statistic": "10th percentile",
        "date": "2026-11-25T00:00:00+00:00",
        "entries_ms": np.random.default_rng(0).uniform(0.001, 0.04, len(ENTRIES)),
        "stem_ms": 0.02,
        "head_ms": 0.05,
        "overhead_ms": 0.001,
        "scale": 1.1,
        "bias_ms": 0.03,
        "calibration": [],
        "check": None,
        "provenance": {"edgecmp": "0.1.0"},
    }
    return LatencyTable(**fields | changes)
