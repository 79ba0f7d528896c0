"""What each rewrite of `edgecmp.export.lower` is worth, in milliseconds on this machine.

    python -m edgecmp.benchmarks.lowering
    python -m edgecmp.benchmarks.lowering --architectures 10 --runs 200 --json lowering.json

Each network is written to TFLite with every rewrite on, with each one off in turn, and with none;
`edgecmp.benchmarks.bench` times the files in turns, 1 thread. A figure is the median (p50) of one
file, a ratio is that of the file divided by that with every rewrite on. `pad_stride2` is always on:
the format cannot say the padding otherwise, and XNNPACK fuses it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecmp.architecture import BLOCKS, DEPTH, Architecture
from edgecmp.benchmarks.bench import bench
from edgecmp.files import provenance, write_json
from edgecmp.progress import say

__all__ = ["VARIANTS", "main", "measure"]

FULL = "all on"
VARIANTS: dict[str, tuple[str, ...]] = {
    FULL: (),
    "fold_bn off": ("fold_bn",),
    "fold_shuffle off": ("fold_shuffle",),
    "crop_kernels off": ("crop_kernels",),
    "split_depthwise off": ("split_depthwise",),
    "all off": ("fold_bn", "fold_shuffle", "crop_kernels", "split_depthwise"),
}
"""Columns of the table: the rewrites that each one leaves out."""


def cases(tier: str, count: int, input_size: int) -> dict[str, Architecture]:
    """`count` networks: one of 7x7 blocks only, one of 3x3 blocks only, the others random."""
    named = {
        f"{tier} {block}": Architecture(
            tier=tier,
            blocks=(BLOCKS.index(block),) * DEPTH,
            widths=(4,) * DEPTH,
            input_size=input_size,
        )
        for block in ("shuffle7", "shuffle3")
    }
    for seed in range(count):
        named[f"{tier} random {seed}"] = Architecture.random(tier, seed=seed, input_size=input_size)
    return dict(list(named.items())[:count])


def measure(
    architectures: dict[str, Architecture], *, runs: int, rounds: int
) -> list[dict[str, Any]]:
    """Times every variant of every network.

    Returns:
        A row for each network and runtime: network, runtime, p50_ms and ratio by variant.
    """
    from edgecmp.export.lowering import lower
    from edgecmp.export.tflite import tflite_bytes

    rows: list[dict[str, Any]] = []
    for name, architecture in architectures.items():
        network = architecture.build().eval()
        with tempfile.TemporaryDirectory() as folder:
            files = {Path(folder) / f"{index}.tflite": v for index, v in enumerate(VARIANTS)}
            for file, variant in files.items():
                lowered = lower(network, without=VARIANTS[variant])
                file.write_bytes(tflite_bytes(lowered))
            report = bench(list(files), runs=runs, rounds=rounds)
        by_runtime: dict[str, dict[str, float]] = {}
        for row in report.rows:
            if row["verdict"] == "measured":
                variant = files[Path(row["file"])]
                by_runtime.setdefault(row["runtime"], {})[variant] = row["p50_ms"]
        for runtime, p50_ms in by_runtime.items():
            ratio = {variant: value / p50_ms[FULL] for variant, value in p50_ms.items()}
            rows.append({"network": name, "runtime": runtime, "p50_ms": p50_ms, "ratio": ratio})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text, ratios beside the time with every rewrite on."""
    off = [variant for variant in VARIANTS if variant != FULL]
    lines = [f"{'network':20}{'runtime':16}{'all on, ms':>11}" + "".join(f"{v:>21}" for v in off)]
    for row in rows:
        ratios = "".join(f"{row['ratio'][variant]:>20.2f}x" for variant in off)
        lines.append(f"{row['network']:20}{row['runtime']:16}{row['p50_ms'][FULL]:>11.2f}{ratios}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tier", default="330M", help="tier of the networks (default 330M)")
    parser.add_argument("--architectures", type=int, default=6, help="how many (default 6)")
    parser.add_argument("--input-size", type=int, default=224, help="pixels (default 224)")
    parser.add_argument("--runs", type=int, default=60, help="timed runs a file (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="visits a file (default 3)")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    chosen = parser.parse_args(arguments)
    named = cases(chosen.tier, chosen.architectures, chosen.input_size)
    rows = measure(named, runs=chosen.runs, rounds=chosen.rounds)
    print(table(rows))
    if chosen.json is not None:
        settings = {key: value for key, value in vars(chosen).items() if key != "json"}
        document = {"rows": rows, "settings": settings, "provenance": provenance()}
        say(f"Wrote {write_json(chosen.json, document)}.")


if __name__ == "__main__":
    main()
