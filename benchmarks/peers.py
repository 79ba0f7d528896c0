"""Our TFLite files against what else makes a phone's file from a PyTorch network, on this machine.

    python -m edgecmp.benchmarks.peers --out runs/peers \\
        --litert-torch-python litert-torch/bin/python --executorch-python executorch/bin/python

For each network: ours, litert-torch's export of the network as it is and of our lowered module,
ONNX Runtime on our ONNX and on torch's own, eager torch (channels last) and ExecuTorch with
XNNPACK. A peer without a Python is "not run", with the command that makes its environment. Every
contender must first give the network's embedding of one image.

One process a runtime holds the models; visits of some tens of milliseconds go round over all of
them, so that load and heat hit all alike. A ratio is the median over the rounds of the ratio within
a round; preempted runs do not count (as in `edgecmp bench`). With one thread the same ratio of
processor time stands beside it: it holds on a busy machine too, where wall time does not. Stacks of
1x1 convolutions go round with them: their rate is what the machine gives, and a network's share of
it says what is left to win.

What a finished network gave is kept in --out and not measured again, unless our exporter changed or
something failed; a peer's files are kept in any case. So the same command goes on where it was
stopped. One command at a time in a folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgecmp.architecture import BLOCKS, DEPTH, TIERS, Architecture
from edgecmp.benchmarks.peer_report import (
    conversion_table,
    cpu_p50_ms,
    cpu_ratio,
    draw,
    gflops_per_s,
    latency_table,
    p50_ms,
    preempted,
    rate_table,
    ratio,
    summary,
    summary_table,
)
from edgecmp.benchmarks.peer_session import (
    ENVIRONMENTS,
    Environment,
    Server,
    ServerLostError,
    convert,
    exporter_digest,
    missing_from,
    own_environment,
)
from edgecmp.benchmarks.runner import facts
from edgecmp.errors import UserError
from edgecmp.files import provenance, read_json, sha256_json, write_atomic, write_json
from edgecmp.progress import duration, progress, say

__all__ = ["CONTENDERS", "RATE_SHAPES", "Contender", "Plan", "main", "networks", "rate_graph_macs"]

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A converter (None: the network itself), and a runtime that loads what it makes."""

    name: str
    converter: str | None
    runtime: str
    environment: str = "own"


CONTENDERS = (
    Contender(name="ours", converter="ours", runtime="litert"),
    Contender(name="ours", converter="ours", runtime="tflite-runtime"),
    Contender(name="litert-torch", converter="litert-torch", runtime="litert"),
    Contender(name="litert-torch", converter="litert-torch", runtime="tflite-runtime"),
    Contender(name="litert-torch lowered", converter="litert-torch-lowered", runtime="litert"),
    Contender(
        name="litert-torch lowered", converter="litert-torch-lowered", runtime="tflite-runtime"
    ),
    Contender(name="onnx ours", converter="onnx-ours", runtime="onnxruntime"),
    Contender(name="onnx torch", converter="onnx-torch", runtime="onnxruntime"),
    Contender(name="torch eager", converter=None, runtime="torch"),
    Contender(
        name="executorch", converter="executorch", runtime="executorch", environment="executorch"
    ),
)
"""Every row of a network; the first one is what the others are divided by."""

CONVERTER_ENVIRONMENTS = {
    "litert-torch": "litert-torch",
    "litert-torch-lowered": "litert-torch",
    "executorch": "executorch",
}
"""Converters that do not run in our own environment."""

OF_OUR_EXPORTER = ("ours", "onnx-ours", "litert-torch-lowered")
"""Converters whose files change when the sources of `edgecmp.export` do."""

PACKAGES = {
    "litert-torch": ("torch", "litert-torch", "ai-edge-quantizer", "faiss-cpu", "pytorchcv"),
    "executorch": ("torch", "executorch", "safetensors", "rich"),
}
SECONDS = {
    "ours": 8,
    "onnx-ours": 18,
    "onnx-torch": 15,
    "litert-torch": 25,
    "litert-torch-lowered": 22,
    "executorch": 35,
}
"""What one process of each converter took on two x86 cores; for the estimate before the start."""

RATE_SHAPES = ((80, 28), (160, 28), (160, 14), (320, 14))
"""Channels and side of the feature maps that the 1x1 convolutions are stacked on."""

RATE_LAYERS = 8
TOLERANCE = 1e-3
"""Largest difference of one value of the embedding before a contender counts as wrong."""

VISIT_OVERHEAD_MS = 25.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything the command line says."""

    out: Path
    environments: Mapping[str, Environment]
    threads: tuple[int, ...]
    rounds: int
    visit_ms: float
    exporter: str = field(default_factory=exporter_digest)

    def key(self, architecture: Architecture) -> str:
        """Changes with whatever a network's result depends on."""
        document = {
            "architecture": architecture.to_dict(),
            "peers": sorted(self.environments),
            "threads": list(self.threads),
            "rounds": self.rounds,
            "visit_ms": self.visit_ms,
            "exporter": self.exporter,
        }
        return sha256_json(document)

    def conversion_key(self, converter: str, architecture: Architecture) -> str:
        """Changes with whatever a converter's files depend on, but for the peer's own version."""
        document = {"architecture": architecture.to_dict(), "converter": converter}
        if converter in OF_OUR_EXPORTER:
            document["exporter"] = self.exporter
        return sha256_json(document)

    def converters(self) -> list[str]:
        """Those whose environment is there."""
        names = dict.fromkeys(c.converter for c in CONTENDERS if c.converter is not None)
        return [n for n in names if CONVERTER_ENVIRONMENTS.get(n, "own") in self.environments]


def networks(count: int, input_size: int = 224) -> dict[str, Architecture]:
    """`count` networks: in each tier three of one kind of block throughout and a random one, in an
    order in which the first few already differ in both; then random ones.
    """
    named: dict[str, Architecture] = {}
    kinds = ("shuffle7", "shuffle3", "xception", "random 0")
    for turn in range(len(kinds)):
        for index, tier in enumerate(TIERS):
            kind = kinds[(index + turn) % len(kinds)]
            named[f"{tier} {kind}"] = (
                Architecture(
                    tier=tier,
                    blocks=(BLOCKS.index(kind),) * DEPTH,
                    widths=(4,) * DEPTH,
                    input_size=input_size,
                )
                if kind in BLOCKS
                else Architecture.random(tier, seed=0, input_size=input_size)
            )
    for number in range(len(named), count):
        tier, seed = [*TIERS][number % len(TIERS)], number // len(TIERS) - 3
        named[f"{tier} random {seed}"] = Architecture.random(tier, seed=seed, input_size=input_size)
    return dict(list(named.items())[:count])


def rate_graph_macs(channels: int, side: int) -> int:
    """Multiply-adds of one stack of 1x1 convolutions."""
    return RATE_LAYERS * channels * channels * side * side


def rate_models(folder: Path) -> dict[str, Path]:
    """Writes the stacks of 1x1 convolutions through our own writer, once."""
    from edgecmp.export.lowering import Graph, LoweredNet
    from edgecmp.export.lowering.graph import IMAGE, Conv
    from edgecmp.export.tflite import tflite_bytes

    paths: dict[str, Path] = {}
    generator = torch.Generator().manual_seed(0)
    for channels, side in RATE_SHAPES:
        nodes = tuple(
            Conv(
                name=f"conv{index}",
                inputs=(f"conv{index - 1}" if index else IMAGE,),
                weight=torch.randn(channels, channels, 1, 1, generator=generator)
                * (2 / channels) ** 0.5,
                bias=torch.zeros(channels),
                relu=True,
            )
            for index in range(RATE_LAYERS)
        )
        graph = Graph(nodes=nodes, input_shape=(channels, side, side))
        name = f"{channels}x{side}x{side}"
        paths[name] = write_atomic(folder / f"1x1-{name}.tflite", tflite_bytes(LoweredNet(graph)))
    return paths


def prepare(architecture: Architecture, folder: Path) -> Path:
    """Writes a live network (see `edgecmp.networks.live`), an image and its embedding.

    Returns:
        The folder of the network; image.npy and embedding.npy lie beside it.
    """
    from edgecmp.bundle import Manifest, QueryBundle
    from edgecmp.networks.live import live_network, patch_images
    from edgecmp.preprocessing import Preprocessing

    place = folder / "network"
    if (folder / "embedding.npy").exists() and Architecture.load(place) == architecture:
        return place
    network = live_network(architecture, 0)
    manifest = Manifest(
        kind="query",
        preprocessing=Preprocessing(input_size=architecture.input_size).to_dict(),
        gallery_sha256="0" * 64,
    )
    QueryBundle(network=network, manifest=manifest).save(place)
    image = patch_images(1, architecture.input_size, 1)
    with torch.no_grad():
        np.save(folder / "image.npy", image.numpy())
        np.save(folder / "embedding.npy", network(image).numpy())
    return place


def compare(name: str, architecture: Architecture, plan: Plan) -> dict[str, Any]:
    """Everything about one network: rows of latency, of conversion, and rates of 1x1 convolutions.

    A result with the same key is read, not measured.
    """
    from edgecmp.search.flops import FlopsTable

    folder = plan.out / "networks" / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    done, key = folder / "result.json", plan.key(architecture)
    if done.exists():
        document = read_json(done, what="the result of a network")
        if document["key"] == key and _is_whole(document):
            return document
    network = prepare(architecture, folder)
    made = {
        converter: convert(
            converter,
            plan.environments[CONVERTER_ENVIRONMENTS.get(converter, "own")],
            network,
            folder,
            key=plan.conversion_key(converter, architecture),
        )
        for converter in plan.converters()
    }
    macs = FlopsTable.of(architecture.tier, architecture.input_size).macs(architecture)
    common = {
        "network": name,
        "macs": macs,
        "has_7x7": BLOCKS.index("shuffle7") in architecture.blocks,
    }
    rows: list[Row] = []
    rates: list[Row] = []
    for threads in plan.threads:
        found, speeds = _measure(plan, folder, made, threads, macs)
        rows += [{**common, **row} for row in found]
        rates += [{"network": name, **row} for row in speeds]
    document = {
        "key": key,
        "rows": rows,
        "rates": rates,
        "conversions": _conversion_rows(name, made),
    }
    write_json(done, document)
    return document


def _conversion_rows(network: str, made: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row for each converter and precision."""
    rows: list[Row] = []
    for converter, document in made.items():
        common = {"network": network, "converter": converter, "versions": document.get("versions")}
        for precision, entry in document.get("files", {"": document}).items():
            rows.append(
                {
                    **common,
                    "precision": precision,
                    "seconds": entry.get("seconds"),
                    "process_seconds": document.get("process_seconds"),
                    "reason": entry.get("reason", ""),
                }
            )
    return rows


def _measure(
    plan: Plan, folder: Path, made: Mapping[str, Mapping[str, Any]], threads: int, macs: int
) -> tuple[list[Row], list[Row]]:
    """One session: every contender and every rate at one thread count."""
    expected = np.load(folder / "embedding.npy", allow_pickle=False).reshape(-1)
    refused: dict[Contender, tuple[str, str]] = {}
    models: dict[tuple[str, str], dict[str, Path]] = {}
    for contender in CONTENDERS:
        path = _file_of(contender, plan, folder, made)
        if isinstance(path, Path):
            place = (contender.runtime, contender.environment)
            models.setdefault(place, {})[contender.name] = path
        else:
            refused[contender] = path
    stacks = {f"1x1 {name}": path for name, path in rate_models(plan.out).items()}
    for runtime in ("litert", "tflite-runtime"):
        models.setdefault((runtime, "own"), {}).update(stacks)
    visits: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with _serving(plan, folder, models, threads) as (servers, lost):
        for server in servers:
            for model, fact in server.facts.items():
                wrong = _wrong(fact, expected) if model not in stacks else fact.get("reason", "")
                if wrong:
                    lost[server.runtime, model] = wrong
        active = [(s, m) for s in servers for m in s.models if (s.runtime, m) not in lost]
        for _ in range(plan.rounds):
            for server, model in active:
                answer = server.visit(model, plan.visit_ms)
                visits.setdefault((server.runtime, model), []).append(answer)
        versions = {
            (s.runtime, m): fact.get("version") for s in servers for m, fact in s.facts.items()
        }
        differences = {
            (s.runtime, m): _difference(fact, expected)
            for s in servers
            for m, fact in s.facts.items()
            if m not in stacks and "embedding" in fact
        }
    rates: list[Row] = []
    best: dict[str, float] = {}
    best_by_cpu: dict[str, float] = {}
    for (runtime, model), samples in visits.items():
        if model in stacks:
            milliseconds = p50_ms(samples)
            speed = gflops_per_s(_macs_of(model), milliseconds)
            best[runtime] = max(best.get(runtime, 0.0), speed)
            by_cpu = gflops_per_s(_macs_of(model), cpu_p50_ms(samples))
            best_by_cpu[runtime] = max(best_by_cpu.get(runtime, 0.0), by_cpu)
            shape = model.removeprefix("1x1 ")
            rates.append(
                {
                    "runtime": runtime,
                    "threads": threads,
                    "shape": shape,
                    "p50_ms": milliseconds,
                    "gflops": speed,
                }
            )
    reference = visits.get((CONTENDERS[0].runtime, CONTENDERS[0].name))
    if reference is None:
        reason = lost.get((CONTENDERS[0].runtime, CONTENDERS[0].name)) or refused[CONTENDERS[0]][1]
        raise UserError(
            f"Our own file does not run, so that there is nothing to compare with: {reason}.",
            f"See the logs in {folder}.",
        )
    rows: list[Row] = []
    for contender in CONTENDERS:
        where = (contender.runtime, contender.name)
        row: Row = {
            "contender": contender.name,
            "runtime": contender.runtime,
            "version": versions.get(where),
            "threads": threads,
            "p50_ms": None,
            "ratio": None,
            "share_of_rate": None,
            "cpu_p50_ms": None,
            "cpu_ratio": None,
            "cpu_share_of_rate": None,
            "preempted": None,
            "difference": differences.get(where),
            "verdict": "measured",
            "reason": "",
        }
        if contender in refused or where in lost:
            row["verdict"], row["reason"] = refused.get(contender, ("failed", lost.get(where, "")))
        else:
            row["p50_ms"] = p50_ms(visits[where])
            row["ratio"] = ratio(visits[where], reference)
            row["preempted"] = preempted(visits[where])
            if threads == 1:
                row["cpu_p50_ms"] = cpu_p50_ms(visits[where])
                row["cpu_ratio"] = cpu_ratio(visits[where], reference)
            if contender.runtime in best:
                speed = gflops_per_s(macs, row["p50_ms"])
                row["share_of_rate"] = speed / best[contender.runtime]
                if threads == 1:
                    speed = gflops_per_s(macs, row["cpu_p50_ms"])
                    row["cpu_share_of_rate"] = speed / best_by_cpu[contender.runtime]
        rows.append(row)
    return rows, rates


def _file_of(
    contender: Contender, plan: Plan, folder: Path, made: Mapping[str, Mapping[str, Any]]
) -> Path | tuple[str, str]:
    """A contender's file, or verdict and reason why there is none."""
    peer = CONVERTER_ENVIRONMENTS.get(contender.converter or "", contender.environment)
    if peer not in plan.environments:
        return "not run", f"name a --{peer}-python; {ENVIRONMENTS[peer]}"
    if contender.converter is None:
        return folder / "network"
    document = made[contender.converter]
    entry = document.get("files", {}).get("fp32", document)
    if "file" not in entry:
        return "failed", str(entry.get("reason"))
    return folder / str(entry["file"])


@contextmanager
def _serving(
    plan: Plan,
    folder: Path,
    models: Mapping[tuple[str, str], Mapping[str, Path]],
    threads: int,
) -> Iterator[tuple[list[Server], dict[tuple[str, str], str]]]:
    """The servers, each ready, and what no server can hold: (runtime, model) and the reason.

    Where a process dies, its models are opened one by one to find out which of them it is.
    """
    lost: dict[tuple[str, str], str] = {}

    def server(runtime: str, environment: str, held: Mapping[str, Path]) -> Server:
        return Server(
            runtime=runtime,
            environment=plan.environments[environment],
            models=held,
            image=folder / "image.npy",
            threads=threads,
            log=folder / f"serve-{runtime}.log",
        )

    with ExitStack() as stack:
        servers: list[Server] = []
        for (runtime, environment), held in models.items():
            alive = dict(held)
            try:
                one = stack.enter_context(server(runtime, environment, alive))
                one.ready()
            except ServerLostError:
                for model, path in held.items():
                    try:
                        with server(runtime, environment, {model: path}) as probe:
                            probe.ready()
                    except ServerLostError as error:
                        lost[runtime, model] = f"the process died ({error})"
                        del alive[model]
                if not alive:
                    continue
                one = stack.enter_context(server(runtime, environment, alive))
                one.ready()
            servers.append(one)
        yield servers, lost


def _difference(fact: Mapping[str, Any], expected: np.ndarray[Any, Any]) -> float:
    found = np.array(fact["embedding"])
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")


def _wrong(fact: Mapping[str, Any], expected: np.ndarray[Any, Any]) -> str:
    """Why a model that was opened does not count, or nothing."""
    if "reason" in fact:
        return str(fact["reason"])
    difference = _difference(fact, expected)
    return "" if difference <= TOLERANCE else f"its embedding differs by {difference:.1e}"


def _macs_of(model: str) -> int:
    channels, side, _ = model.removeprefix("1x1 ").split("x")
    return rate_graph_macs(int(channels), int(side))


def expected_seconds(plan: Plan, named: Mapping[str, Architecture]) -> float:
    """What the networks that are not finished will take on two x86 cores, roughly."""
    total = 0.0
    for name, architecture in named.items():
        folder = plan.out / "networks" / name.replace(" ", "-")
        done = folder / "result.json"
        if _has_key(done, plan.key(architecture)) and _is_whole(read_json(done, what="a result")):
            continue
        for converter in plan.converters():
            key = plan.conversion_key(converter, architecture)
            if not _has_key(folder / f"{converter}.done.json", key):
                total += SECONDS[converter]
        visits = len(CONTENDERS) + 2 * len(RATE_SHAPES)
        visit_s = (plan.visit_ms + VISIT_OVERHEAD_MS) / 1000
        total += len(plan.threads) * (20 + plan.rounds * visits * visit_s)
    return total


def _is_whole(document: Mapping[str, Any]) -> bool:
    """Whether nothing failed: what did, a killed conversion perhaps, is tried again."""
    return all(row["verdict"] != "failed" for row in document["rows"])


def _has_key(path: Path, key: str) -> bool:
    return path.exists() and read_json(path, what="a result").get("key") == key


def _environments(given: argparse.Namespace, out: Path) -> dict[str, Environment]:
    """Our own, and those of the peers that were named; each is looked at before the start."""
    link = out / "path"
    environments = {"own": own_environment(link)}
    for peer, python in (
        ("litert-torch", given.litert_torch_python),
        ("executorch", given.executorch_python),
    ):
        if python is None:
            say(f"{peer}: not run. Name a --{peer}-python; to make one: {ENVIRONMENTS[peer]}")
            continue
        missing = missing_from(python, PACKAGES[peer])
        if missing:
            raise UserError(
                f"{python} cannot run {peer}: {missing}.",
                f"Make its environment with `{ENVIRONMENTS[peer]}`.",
            )
        environments[peer] = Environment(python=python.absolute(), link=link)
    return environments


def main(arguments: Sequence[str] | None = None) -> None:
    """Compares, prints the tables, and writes peers.json, peers.txt and peers.png."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for files and results")
    parser.add_argument("--networks", type=int, default=12, help="how many (default 12)")
    parser.add_argument("--input-size", type=int, default=224, help="pixels (default 224)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default 1 2)")
    parser.add_argument("--rounds", type=int, default=15, help="visits of each (default 15)")
    parser.add_argument("--visit-ms", type=float, default=40.0, help="of one visit (default 40)")
    parser.add_argument("--litert-torch-python", type=Path, help="Python with litert-torch")
    parser.add_argument("--executorch-python", type=Path, help="Python with ExecuTorch")
    parser.add_argument("--plan", action="store_true", help="say what it would cost, and stop")
    given = parser.parse_args(arguments)
    if given.networks < 1 or given.rounds < 1 or min(given.threads) < 1:
        parser.error("--networks, --rounds and --threads start at 1")
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
    say(f"{len(named)} networks, of which the unfinished take about {cost} on two idle cores.")
    if max(plan.threads) > cores:
        say(f"This machine has {cores} cores: more threads than that measure the scheduler.")
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
    """Writes what the networks so far say, and returns it as text."""
    rows, rates, conversions = (
        [row for result in results for row in result[part]]
        for part in ("rows", "rates", "conversions")
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
