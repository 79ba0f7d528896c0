"""Compares edgecmp's TFLite files with other exports of the same PyTorch networks, on this machine.

    python -m edgecmp.benchmarks.peers.run --out runs/peers \\
        --litert-torch-python litert-torch/bin/python --executorch-python executorch/bin/python

For each network it compares edgecmp's file, litert-torch's export of the original network and of
edgecmp's lowered module, ONNX Runtime with edgecmp's ONNX file and with torch's, eager torch
(channels last), and ExecuTorch with XNNPACK. A peer without a Python is "not run"; the command that
creates its environment is printed. Every contender must first return the correct embedding of one
image.

One process per runtime keeps the models loaded. Visits of some tens of milliseconds alternate
between all of them, so that load and heat affect all alike. A ratio is the median over the rounds
of the ratio within a round; preempted runs do not count (as in `edgecmp bench`). With one thread
the ratio of processor times is reported too; it is reliable even on a busy machine, where wall time
is not. Stacks of 1x1 convolutions are visited as well: their rate is the practical limit of the
machine, and a network's share of it shows how much a faster implementation could still gain.

The result of a finished network is kept in --out and is not measured again, unless edgecmp's
exporter has changed or something failed; the files of peers are always kept. An interrupted
comparison therefore resumes when you rerun the command. Run only one command at a time in a folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.devices.on_device.runner import facts
from edgecmp.benchmarks.peers.compare import compare, is_whole
from edgecmp.benchmarks.peers.environment import (
    ENVIRONMENTS,
    Environment,
    missing_from,
    own_environment,
)
from edgecmp.benchmarks.peers.networks import RATE_SHAPES, networks
from edgecmp.benchmarks.peers.plan import CONTENDERS, PACKAGES, Plan
from edgecmp.benchmarks.peers.report import (
    conversion_table,
    draw,
    latency_table,
    rate_table,
    summary,
    summary_table,
)
from edgecmp.errors import UserError
from edgecmp.files import provenance, read_json, write_atomic, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.progress import duration, progress, say

__all__ = ["main"]

SECONDS = {
    "ours": 8,
    "onnx-ours": 8,
    "onnx-torch": 15,
    "litert-torch": 25,
    "litert-torch-lowered": 22,
    "executorch": 35,
}
"""Seconds per converter and network on two x86 cores, for the estimate before the start."""

VISIT_OVERHEAD_MS = 25.0


def expected_seconds(plan: Plan, named: Mapping[str, Architecture]) -> float:
    """Estimated time in s for the unfinished networks on two x86 cores."""
    total = 0.0
    for name, architecture in named.items():
        folder = plan.out / "networks" / name.replace(" ", "-")
        done = folder / "result.json"
        if _has_key(done, plan.key(architecture)) and is_whole(read_json(done, what="a result")):
            continue
        for converter in plan.converters():
            key = plan.conversion_key(converter, architecture)
            if not _has_key(folder / f"{converter}.done.json", key):
                total += SECONDS[converter]
        visits = len(CONTENDERS) + 2 * len(RATE_SHAPES)
        visit_s = (plan.visit_ms + VISIT_OVERHEAD_MS) / 1000
        total += len(plan.threads) * (20 + plan.rounds * visits * visit_s)
    return total


def _has_key(path: Path, key: str) -> bool:
    return path.exists() and read_json(path, what="a result").get("key") == key


def _environments(given: argparse.Namespace, out: Path) -> dict[str, Environment]:
    """The current environment and those of the named peers, which are checked first."""
    link = out / "path"
    environments = {"own": own_environment(link)}
    for peer, python in (
        ("litert-torch", given.litert_torch_python),
        ("executorch", given.executorch_python),
    ):
        if python is None:
            say(f"{peer}: not run. Use --{peer}-python; to create one: {ENVIRONMENTS[peer]}")
            continue
        missing = missing_from(python, PACKAGES[peer])
        if missing:
            raise UserError(
                f"{python} cannot run {peer}: {missing}.",
                f"Create its environment with `{ENVIRONMENTS[peer]}`.",
            )
        environments[peer] = Environment(python=python.absolute(), link=link)
    return environments


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the comparison, prints the tables, and writes peers.json, peers.txt and peers.png."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for files and results")
    parser.add_argument("--networks", type=int, default=12, help="number of networks (default 12)")
    parser.add_argument("--input-size", type=int, default=224, help="pixels (default 224)")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="counts (default 1 2)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="visits per model (default 15)")
    parser.add_argument("--visit-ms", type=float, default=40.0, help="of a visit (default 40)")
    parser.add_argument("--litert-torch-python", type=Path, help="Python with litert-torch")
    parser.add_argument("--executorch-python", type=Path, help="Python with ExecuTorch")
    parser.add_argument("--plan", action="store_true", help="print the estimated time and stop")
    given = parser.parse_args(arguments)
    if given.networks < 1 or given.rounds < 1 or min(given.threads) < 1:
        parser.error("--networks, --rounds and --threads must be at least 1")
    plan = Plan(
        out=given.out,
        environments=_environments(given, given.out),
        threads=tuple(given.threads),
        rounds=given.rounds,
        visit_ms=given.visit_ms,
    )
    named = networks(given.networks, given.input_size)
    cost = duration(expected_seconds(plan, named))
    cores = os.cpu_count() or 1
    say(f"{len(named)} networks; the unfinished ones take about {cost} on two idle cores.")
    if max(plan.threads) > cores:
        say(f"This machine has {cores} cores; with more threads the scheduler affects the times.")
    if given.plan:
        return
    results: list[dict[str, Any]] = []
    with progress("Comparing", total=len(named), unit="network") as bar:
        for name, architecture in named.items():
            results.append(compare(name, architecture, plan))
            text = _report(results, given)
            bar.advance(1)
    print(text)
    say(f"Wrote peers.json, peers.txt and peers.png to {given.out}.")


def _report(results: Sequence[Mapping[str, Any]], given: argparse.Namespace) -> str:
    """Writes the results of the networks so far, and returns them as text."""
    rows, rates, conversions = (
        [row for result in results for row in result[key]]
        for key in ("rows", "rates", "conversions")
    )
    text = "\n\n".join(
        [summary_table(rows), latency_table(rows), conversion_table(conversions), rate_table(rates)]
    )
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in vars(given).items()
    }
    document = {
        "rows": rows,
        "summary": summary(rows),
        "conversions": conversions,
        "rates": rates,
        "device": facts(),
        "settings": settings,
        "provenance": provenance(),
    }
    write_json(given.out / "peers.json", document)
    write_atomic(given.out / "peers.txt", f"{text}\n".encode())
    draw(rows, given.out / "peers.png")
    return text


if __name__ == "__main__":
    main()
