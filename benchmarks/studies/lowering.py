"""The effect of each rewrite of `edgecmp.export.lower` on latency, on this machine.

    python -m edgecmp.benchmarks.studies.lowering
    python -m edgecmp.benchmarks.studies.lowering --architectures 10 --runs 200 --json lowering.json
    python -m edgecmp.benchmarks.studies.lowering --baselines

Each network is written to TFLite with all rewrites, with all but one, and with none; `edgecmp
bench` times the files in rounds with one thread. Figures are medians (p50); ratios are relative to
the file with all rewrites; "same" means that the file is identical, since the rewrite had nothing
to change. `pad_stride2` is always on: the format cannot express this padding otherwise, and XNNPACK
fuses it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecmp.benchmarks import BenchPlan, bench
from edgecmp.benchmarks.studies.study import study_parser, write_study
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.baselines import BASELINES
from edgecmp.networks.tiers import BLOCKS, DEPTH

if TYPE_CHECKING:
    from edgecmp.export.lowering import Graph

__all__ = ["VARIANTS", "main", "measure"]

FULL = "all on"
VARIANTS: dict[str, tuple[str, ...]] = {
    FULL: (),
    "fold_bn off": ("fold_bn",),
    "fold_shuffle off": ("fold_shuffle",),
    "narrow_concat off": ("narrow_concat",),
    "crop_kernels off": ("crop_kernels",),
    "split_depthwise off": ("split_depthwise",),
    "all off": ("fold_bn", "fold_shuffle", "narrow_concat", "crop_kernels", "split_depthwise"),
}
"""By column of the table: the rewrites that are left out."""


def cases(tier: str, count: int, input_size: int) -> dict[str, Architecture]:
    """`count` networks: one with only 7x7 blocks, one with only 3x3 blocks, then random ones."""
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


def own_graphs(named: Mapping[str, Architecture]) -> dict[str, Callable[[], Graph]]:
    """By name: a function that builds and traces a searched network."""
    from edgecmp.export.lowering.trace_query import trace

    def build(architecture: Architecture) -> Graph:
        return trace(architecture.build(), architecture.input_size)

    return {name: partial(build, architecture) for name, architecture in named.items()}


def baseline_graphs(names: Iterable[str], input_size: int) -> dict[str, Callable[[], Graph]]:
    """By name: a function that builds and traces a baseline."""
    from edgecmp.export.lowering import trace_module
    from edgecmp.networks.baselines import build_baseline

    def build(name: str) -> Graph:
        return trace_module(build_baseline(name), input_size)

    return {name: partial(build, name) for name in names}


def measure(
    graphs: Mapping[str, Callable[[], Graph]], *, runs: int, rounds: int
) -> list[dict[str, Any]]:
    """Times every variant of every network.

    Args:
        graphs: by name: a function that builds and traces the network.
        runs: number of timed runs per file.
        rounds: number of visits per file.

    Returns:
        One row per network and runtime: network, runtime, and by variant p50_ms, min_ms and ratio;
        variants with the same file as all rewrites are left out.
    """
    rows: list[dict[str, Any]] = []
    for name, build in graphs.items():
        with tempfile.TemporaryDirectory() as folder:
            files = _write_variants(build(), Path(folder))
            report = bench(list(files), plan=BenchPlan(runs=runs, rounds=rounds))
        by_runtime: dict[str, dict[str, dict[str, Any]]] = {}
        for row in report.rows:
            if row["verdict"] == "measured":
                variant = files[Path(row["file"])]
                by_runtime.setdefault(row["runtime"], {})[variant] = row
        for runtime, by_variant in by_runtime.items():
            p50_ms, min_ms = (
                {variant: row[key] for variant, row in by_variant.items()}
                for key in ("p50_ms", "min_ms")
            )
            ratio = {variant: value / p50_ms[FULL] for variant, value in p50_ms.items()}
            figures = {"p50_ms": p50_ms, "min_ms": min_ms, "ratio": ratio}
            rows.append({"network": name, "runtime": runtime, **figures})
    return rows


def _write_variants(graph: Graph, folder: Path) -> dict[Path, str]:
    """Writes the variants of a network, without those that equal the full one: names by file."""
    import torch

    from edgecmp.export.formats.tflite.writer import tflite_bytes
    from edgecmp.export.lowering import LoweredNet, lower_graph

    files: dict[Path, str] = {}
    full = b""
    for index, (variant, without) in enumerate(VARIANTS.items()):
        lowered = LoweredNet(lower_graph(graph, without=without).to(torch.float32))
        model = tflite_bytes(lowered)
        if model != full:
            full = full or model
            file = folder / f"{index}.tflite"
            file.write_bytes(model)
            files[file] = variant
    return files


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text: the time with all rewrites, and the ratios of the variants."""
    off = [variant for variant in VARIANTS if variant != FULL]
    lines = [f"{'network':22}{'runtime':16}{'all on, ms':>11}" + "".join(f"{v:>21}" for v in off)]
    for row in rows:
        ratios = "".join(
            f"{row['ratio'][variant]:>20.2f}x" if variant in row["ratio"] else f"{'same':>21}"
            for variant in off
        )
        lines.append(f"{row['network']:22}{row['runtime']:16}{row['p50_ms'][FULL]:>11.2f}{ratios}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the study and prints the table."""
    parser = study_parser(__doc__)
    parser.add_argument("--tier", default="330M", help="tier of the networks (default 330M)")
    parser.add_argument("--architectures", type=int, default=6, help="how many (default 6)")
    parser.add_argument(
        "--baselines", action="store_true", help="networks of pytorchcv instead of searched ones"
    )
    parser.add_argument("--input-size", type=int, default=224, help="pixels (default 224)")
    parser.add_argument("--runs", type=int, default=60, help="timed runs per file (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="visits per file (default 3)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    chosen = parser.parse_args(arguments)
    if chosen.baselines:
        graphs = baseline_graphs(BASELINES, chosen.input_size)
    else:
        graphs = own_graphs(cases(chosen.tier, chosen.architectures, chosen.input_size))
    rows = measure(graphs, runs=chosen.runs, rounds=chosen.rounds)
    print(table(rows))
    if chosen.json is not None:
        settings = {key: value for key, value in vars(chosen).items() if key != "json"}
        write_study(chosen.json, {"rows": rows, "settings": settings})


if __name__ == "__main__":
    main()
