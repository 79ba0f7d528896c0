"""The errors of a latency table and of simpler predictors, on the same networks.

    edgecmp latency build --device local --out T.json
    python -m edgecmp.benchmarks.studies.latency_study T.json --nets 50 --out study.json

All predictors predict the same new random networks, whose latencies are measured together with
those of the networks that the regressions are fitted to:

- the table;
- the table without calibration: the sum of its entries;
- FLOPs alone: a line through as many measured networks as can be timed while a table is built;
- linear regression (ridge) on the same networks: FLOPs, and per stage, stride and block the number
  of layers and the sum of their widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecmp.artefacts.latency_table import ENTRIES, LatencyTable
from edgecmp.benchmarks.latency.check import errors
from edgecmp.benchmarks.latency.measure import NETWORK_MS, NETWORK_VISITS, SEGMENT_MS
from edgecmp.benchmarks.latency.networks import measure_networks, random_networks
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.export.fingerprint import lowering_fingerprint
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import BLOCKS, tier
from edgecmp.search.space.flops import FlopsTable

__all__ = ["main", "study"]

RIDGE = 1.0
SEED = 101
"""Seed of the networks to fit to; the others have the seed of `edgecmp latency check`."""


def study(table: LatencyTable, nets: int) -> list[dict[str, Any]]:
    """One row of figures per predictor; measures on the device of the table.

    Args:
        table: a calibrated table.
        nets: number of random networks to predict.
    """
    table.require_lowering(lowering_fingerprint())
    each_ms = NETWORK_VISITS * NETWORK_MS
    learned = round((len(ENTRIES) + 3) * SEGMENT_MS / each_ms) + len(table.calibration)
    known = random_networks(table, learned, seed=SEED)
    asked = random_networks(table, nets, seed=nets)
    times = np.array(measure_networks(table, [*known, *asked]))
    took, truth = times[:learned], times[learned:]
    plain = replace(table, scale=1.0, bias_ms=0.0)
    flops = FlopsTable.of(table.tier, table.input_size, table.embedding_dim)
    counts = [np.array([[flops.count(a)] for a in some], np.float64) for some in (known, asked)]
    wide = [np.stack([_features(a, table) for a in some]) for some in (known, asked)]
    full = [np.concatenate(pair, 1) for pair in zip(counts, wide, strict=True)]
    predictions: dict[str, Sequence[float]] = {
        "table": [table.predict(a) for a in asked],
        "table without calibration": [plain.predict(a) for a in asked],
        f"FLOPs, {learned} networks": _ridge(counts[0], took, counts[1], 0.0),
        f"linear regression, {learned} networks": _ridge(full[0], took, full[1], RIDGE),
    }
    return [
        {"predictor": name, **errors(list(said), truth.tolist())}
        for name, said in predictions.items()
    ]


def _features(architecture: Architecture, table: LatencyTable) -> NDArray[np.float64]:
    """Per stage, stride and block: the number of layers and the sum of their widths."""
    features = np.zeros((4, 2, len(BLOCKS), 2))
    layers = tier(table.tier).layers
    for layer, block, width in zip(layers, architecture.blocks, architecture.widths, strict=True):
        features[layer.stage, layer.stride - 1, block] += (1, width + 1)
    return features.ravel()


def _ridge(
    known: NDArray[np.float64], took: NDArray[np.float64], asked: NDArray[np.float64], weight: float
) -> list[float]:
    """Least squares on standardised features (N, F); the constant is not regularised."""
    mean, spread = known.mean(0), known.std(0) + 1e-12
    scaled, other = (known - mean) / spread, (asked - mean) / spread
    system = scaled.T @ scaled + weight * np.eye(scaled.shape[1])
    found = np.linalg.lstsq(system, scaled.T @ (took - took.mean()), rcond=None)[0]
    predicted: list[float] = (other @ found + took.mean()).tolist()
    return predicted


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the study, prints the rows and, with --out, writes them."""
    parser = study_parser(__doc__)
    parser.add_argument("table", type=Path, help="from `edgecmp latency build`")
    parser.add_argument("--nets", type=int, default=50, help="networks to predict (default 50)")
    parser.add_argument("--out", type=Path, help="also write the figures, as JSON")
    chosen = parser.parse_args(arguments)
    rows = study(LatencyTable.load(chosen.table), chosen.nets)
    print_rows(rows)
    if chosen.out:
        write_study(chosen.out, {"rows": rows})


if __name__ == "__main__":
    main()
