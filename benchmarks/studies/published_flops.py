"""The paper's MFLOPs column, counted again, and the cost of the same networks with an embedding.

    python -m edgecmp.benchmarks.studies.published_flops
    python -m edgecmp.benchmarks.studies.published_flops --json flops.json

The column contains half of pytorchcv's FLOPs of the ImageNet classifier at 224 x 224, including its
1000-way layer, without decimals (`edgecmp.networks.pytorchcv_flops` states the rule). A query
network has an embedding instead of that layer and is counted by fvcore, like searched networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.paper.published import Row, published
from edgecmp.benchmarks.studies.study import study_parser, write_study

__all__ = ["main", "measure", "reproduced"]

SIZE = 224

COLUMNS = {
    "paper": "{:.0f}",
    "pytorchcv": "{:.2f}",
    "ours": "{:.2f}",
    "difference": "{:+.4f}",
    "pytorch_table": "{:.2f}",
    "macs": "{:.2f}",
    "fvcore": "{:.2f}",
    "embedding_ours": "{:.2f}",
    "embedding_macs": "{:.2f}",
    "embedding_fvcore": "{:.2f}",
}
"""By column of the table: its format. All values are in millions."""


def measure(row: Row) -> dict[str, Any]:
    """Counts the operations of one network, in millions.

    Args:
        row: a row of `published("mflops")`.

    Returns:
        The network's names and `COLUMNS`: the figure of the paper; that of pytorchcv's table; ours
        by the same rule, and its difference from pytorchcv's; the count by the rule of the PyTorch
        table, which includes the averages of squeeze-and-excitation; multiply-adds; fvcore's total;
        and the same rule, multiply-adds and fvcore's total of the network with a 128-d embedding.
    """
    from pytorchcv.model_provider import get_model

    from edgecmp.networks.baselines import Baseline
    from edgecmp.networks.fvcore_flops import count_fvcore
    from edgecmp.networks.pytorchcv_flops import count_pytorchcv

    name = str(row["baseline"])
    classifier = get_model(name).eval()
    network = Baseline(name=name).build().eval()
    counted, embedded = count_pytorchcv(classifier, SIZE), count_pytorchcv(network, SIZE)
    with_embedding = count_fvcore(network, SIZE)
    printed = float(row["pytorchcv_mflops"] or 0)
    return {
        "query_model": row["query_model"],
        "baseline": name,
        "paper": row["mflops"],
        "pytorchcv": printed,
        "ours": counted.published_mflops,
        "difference": counted.published_mflops - printed,
        "pytorch_table": counted.pytorch_mflops,
        "macs": counted.macs / 1e6,
        "fvcore": count_fvcore(classifier, SIZE).flops / 1e6,
        "embedding_ours": embedded.published_mflops,
        "embedding_macs": with_embedding.macs / 1e6,
        "embedding_fvcore": with_embedding.flops / 1e6,
    }


def reproduced(row: dict[str, Any]) -> bool:
    """Whether our count, without its decimals, equals the figure of the paper."""
    return bool(math.trunc(row["ours"]) == row["paper"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the study and prints the table."""
    parser = study_parser(__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    chosen = parser.parse_args(arguments)
    rows = [measure(row) for row in published("mflops").rows]
    print("MFLOPs at 224 x 224".ljust(22) + "".join(f"{name:>18}" for name in COLUMNS))
    for row in rows:
        cells = (style.format(row[name]) for name, style in COLUMNS.items())
        print(f"{row['baseline']:22}" + "".join(f"{cell:>18}" for cell in cells))
    print(f"{sum(map(reproduced, rows))} of {len(rows)} figures of the paper reproduced")
    if chosen.json is not None:
        write_study(chosen.json, {"rows": rows})


if __name__ == "__main__":
    main()
