"""How fast are supernet training and candidate evaluation? Ratios of one run, in turns.

    OMP_NUM_THREADS=1 python -m edgecmp.benchmarks.studies.supernet_speed --candidates 0
    python -m edgecmp.benchmarks.studies.supernet_speed --batches --candidates 20 --json speed.json

Training and embedding, against (i) the masked formulation, where every layer is computed at full
width and then masked, and (ii) one plain network of the mean subnet's FLOPs, trained on whole
batches; both of torch's own convolutions, which is what a user would otherwise have. (iii) is (ii)
with our gradient of depthwise convolutions: what sampling alone costs. Augmentation is left out:
it is the same for all. Candidate evaluation, against the plain way: copy the supernet, reset its
batch norms, recalibrate, embed. All take turns, and the ratios are of medians, of processor time
(which other work on the machine disturbs least) and of wall time. The last row is what a user has:
a search in its processes, which OMP_NUM_THREADS=1 would leave one of.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.files import provenance, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.blocks import ChoiceBlock, ConvBN, even_odd_split
from edgecmp.networks.depthwise import DepthwiseConv2d
from edgecmp.networks.layerwise import CACHE_BYTES
from edgecmp.networks.random_weights import patch_images
from edgecmp.networks.supernet import LayerPath, Supernet, path_of
from edgecmp.networks.tiers import tier
from edgecmp.report import table_text
from edgecmp.search.evaluation.candidate import architecture_of
from edgecmp.search.evaluation.supernet import SupernetEvaluator
from edgecmp.search.evaluation.workers import Workers, default_jobs
from edgecmp.search.run import open_evaluator
from edgecmp.search.space.constraint import FlopsBudget
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.space import Space
from edgecmp.search.strategies.evolution import EvolutionSettings, next_generation
from edgecmp.training.fit import Schedule, TrainingState
from edgecmp.training.paths import Phase, sample_paths

__all__ = ["main", "masked_forward", "mean_architecture", "plain_scores"]

PHASES = (Phase(until=1.0, blocks=1, narrowest=0),)
SAME = "static, our gradient"
DEFAULT = "torch's layout"
LAYOUTS = {DEFAULT: torch.contiguous_format, "channels_last": torch.channels_last}
Network = TypeVar("Network", bound=nn.Module)
Times = dict[str, list[tuple[float, float]]]
"""(processor seconds, wall seconds) of each turn."""


def masked_forward(network: Supernet, x: Tensor, path: tuple[LayerPath, ...]) -> Tensor:
    """What `network(x, path)` gives, computed at full width and masked behind each batch norm."""
    x = network.stem(x)
    for spec, choices, step in zip(network.layer_specs, network.layers, path, strict=True):
        assert isinstance(choices, nn.ModuleList)
        (block,) = step.blocks
        choice = choices[block]
        assert isinstance(choice, ChoiceBlock)
        mid = spec.mid_channels(step.width)
        if choice.proj is None:
            passed, x = even_odd_split(x)
        else:
            passed = choice.proj(x)
        for position, layer in enumerate(choice.main):
            assert isinstance(layer, ConvBN)
            x = layer.bn(layer.conv(x))
            if position not in choice.outer:
                mask = (torch.arange(x.shape[1]) < mid).to(x.dtype)
                x = x * mask[:, None, None]
            if layer.relu:
                x = F.relu(x)
        x = torch.cat((passed, x), 1)
    embeddings: Tensor = network.embedding(network.head(x).mean((2, 3)))
    return embeddings


def of_torch_convolutions(network: Network) -> Network:
    """A copy of the network with torch's own gradient of depthwise convolutions."""
    network = copy.deepcopy(network)
    for layer in network.modules():
        if isinstance(layer, DepthwiseConv2d):
            layer.forward = partial(nn.Conv2d.forward, layer)  # type: ignore[method-assign]
    return network


def mean_architecture(network: Supernet, *, draws: int = 500) -> Architecture:
    """Of random subnets the one whose FLOPs are nearest to their mean."""
    table = FlopsTable.of(network.tier, network.input_size, network.embedding_dim)
    form: dict[str, int] = {
        "embedding_dim": network.embedding_dim,
        "input_size": network.input_size,
    }
    drawn = [Architecture.random(network.tier, seed=seed, **form) for seed in range(draws)]
    counts = table.counts(
        np.array([one.blocks for one in drawn], np.uint8),
        np.array([one.widths for one in drawn], np.uint8),
    )
    return drawn[int(np.abs(counts - counts.mean()).argmin())]


def plain_scores(
    evaluator: SupernetEvaluator, supernet: Supernet, architecture: Architecture, memory: Any
) -> dict[str, float]:
    """The plain way to judge a candidate, in torch's default memory format or another."""
    holdout, path = evaluator.holdout, path_of(architecture)
    network = copy.deepcopy(supernet)
    network.to(memory_format=memory)  # type: ignore[call-overload]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
    with torch.no_grad():
        network.train()
        for count, batch in enumerate(holdout.batches, start=1):
            for norm in norms:
                norm.momentum = 1 / count
            network(batch.contiguous(memory_format=memory), path)
        network.eval()
        parts = [
            network(holdout.preprocessing.normalise(part).contiguous(memory_format=memory), path)
            for part in np.array_split(holdout.images, max(1, len(holdout.images) // 256))
        ]
    return holdout.score(torch.cat(parts).numpy())


def _in_turns(turns: int, jobs: Mapping[str, Callable[[], object]]) -> Times:
    """One turn unmeasured, then `turns` of each job."""
    times: Times = {name: [] for name in jobs}
    for turn in range(turns + 1):
        for name, job in jobs.items():
            _timed(times[name] if turn else [], job)
    return times


def _row(
    what: str, against: str, ours: Any, theirs: Any, images: int, goal: float
) -> dict[str, Any]:
    """One comparison, from (processor, wall) seconds of both."""
    (cpu, wall), (their_cpu, their_wall) = (
        [median(one) for one in zip(*times, strict=True)] for times in (ours, theirs)
    )
    return {
        "what": what,
        "against": against,
        "ours_per_cpu_s": round(images / cpu, 3),
        "theirs_per_cpu_s": round(images / their_cpu, 3),
        "ratio": round(their_cpu / cpu, 2),
        "ratio_wall": round(their_wall / wall, 2),
        "goal": goal,
    }


def training_rows(network: Supernet, batch: int, turns: int) -> list[dict[str, Any]]:
    """Supernet training by both samplings and embedding, against masked and static."""
    same = mean_architecture(network).build().train()
    static = of_torch_convolutions(same)
    supernet = copy.deepcopy(network).train()
    masked = of_torch_convolutions(supernet)
    schedule = Schedule(epochs=1, batch_size=batch, ema=0.99)
    modules = (supernet, masked, static, same)
    states = {id(module): TrainingState(module, schedule, 1) for module in modules}
    images = patch_images(batch, network.input_size, 0)
    images = images.contiguous(memory_format=torch.channels_last)
    rows = []

    def step(module: nn.Module, outputs: Callable[[], list[Tensor]]) -> None:
        loss = torch.stack([output[:, 0].mean() for output in outputs()]).mean()
        state = states[id(module)]
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.average()

    for sampling in ("fair", "uniform"):
        generators = [torch.Generator().manual_seed(0) for _ in range(2)]

        def shares(which: int, sampling: Any = sampling, g: Any = generators) -> Any:
            paths = sample_paths(PHASES, 0.5, sampling, g[which])
            return zip(images.chunk(len(paths)), paths, strict=True)

        times = _in_turns(
            turns,
            {
                "ours": lambda: step(supernet, lambda: [supernet(x, p) for x, p in shares(0)]),
                "masked": lambda: step(
                    masked, lambda: [masked_forward(masked, x, p) for x, p in shares(1)]
                ),
                "static": lambda: step(static, lambda: [static(images)]),
                SAME: lambda: step(same, lambda: [same(images)]),
            },
        )
        what = f"training, {sampling}, batch {batch}"
        for name, goal in (("masked", 1.5), ("static", 0.8), (SAME, 0.8)):
            rows.append(_row(what, name, times["ours"], times[name], batch, goal))
    for module in modules:
        module.eval()
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]

    def path(which: int) -> tuple[LayerPath, ...]:
        return sample_paths(PHASES, 0.5, "uniform", generators[which])[0]

    with torch.inference_mode():
        times = _in_turns(
            2 * turns,
            {
                "ours": lambda: supernet(images, path(0)),
                "masked": lambda: masked_forward(masked, images, path(1)),
                "static": lambda: static(images),
            },
        )
    for name, goal in (("masked", 1.5), ("static", 0.8)):
        rows.append(
            _row(f"embedding, batch {batch}", name, times["ours"], times[name], batch, goal)
        )
    return rows


def evaluation_rows(
    bundle: SupernetBundle, candidates: int, generations: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Candidate evaluation against the plain way, and the largest difference of R3 by metric.

    The candidates are random ones, and then `generations` of their children in an evolution.
    """
    evaluator = open_evaluator(bundle, gallery=None, data="emoji")
    table = FlopsTable.of(evaluator.tier, embedding_dim=evaluator.embedding_dim)
    budget = FlopsBudget(table, tier(evaluator.tier).max_flops)
    settings = EvolutionSettings(population=candidates, retain=max(2, candidates // 5))
    drawn = np.hstack(budget.sample(np.random.default_rng(0), candidates))
    children = [tuple(genes) for genes in drawn.tolist()]
    rows, differences = [], dict.fromkeys(evaluator.metrics, 0.0)
    rewards: dict[tuple[int, ...], float] = {}
    for generation in range(1, generations + 2):
        times: Times = {"ours": [], **{f"plain, {name}": [] for name in LAYOUTS}}
        for genes in children:
            architecture = architecture_of(genes, evaluator)
            ours = _timed(times["ours"], evaluator.evaluate, architecture)
            rewards[genes] = ours.mqq["top1"] * ours.mqg["top1"]
            plain = {
                name: _timed(
                    times[f"plain, {name}"],
                    plain_scores,
                    evaluator,
                    bundle.network,
                    architecture,
                    layout,
                )
                for name, layout in LAYOUTS.items()
            }[DEFAULT]
            for metric in evaluator.metrics:
                theirs = plain[f"qq_{metric}"] * plain[f"qg_{metric}"]
                apart = abs(ours.mqq[metric] * ours.mqg[metric] - theirs)
                differences[metric] = max(differences[metric], apart)
        what = f"evaluation, generation {generation} ({len(children)})"
        rows += [
            _row(what, name, times["ours"], theirs, 1, 3.0)
            for name, theirs in times.items()
            if name != "ours"
        ]
        ranked = sorted(rewards, key=rewards.__getitem__, reverse=True)[:candidates]
        children = _children(ranked, rewards, budget, settings, generation + 1)
    return rows, differences


def search_row(
    bundle: SupernetBundle, population: int, generations: int
) -> tuple[dict[str, Any], float]:
    """Children of an evolution as a search evaluates them, and one by one in the plain way.

    Gives the comparison and the largest difference of R3 by top-1.

    The search has its processes, the plain way all threads of torch. Per second of wall time, since
    the time of the processes is not this one's.
    """
    threads, jobs = torch.get_num_threads(), default_jobs()
    each = max(1, threads // jobs)
    torch.set_num_threads(each)
    evaluator = open_evaluator(bundle, gallery=None, data="emoji", cache_bytes=CACHE_BYTES // jobs)
    table = FlopsTable.of(evaluator.tier, embedding_dim=evaluator.embedding_dim)
    budget = FlopsBudget(table, tier(evaluator.tier).max_flops)
    settings = EvolutionSettings(population=population, retain=max(2, population // 5))
    drawn = np.hstack(budget.sample(np.random.default_rng(1), population))
    children = [tuple(genes) for genes in drawn.tolist()]
    rewards: dict[tuple[int, ...], float] = {}
    ours, plain, difference = [], [], 0.0
    with Workers(evaluator, jobs) as workers:
        for generation in range(1, generations + 2):
            architectures = [architecture_of(genes, evaluator) for genes in children]
            start = time.perf_counter()
            for genes, (found, _) in zip(children, workers.measure(architectures), strict=True):
                rewards[genes] = found.mqq["top1"] * found.mqg["top1"]
            ours.append((time.perf_counter() - start) / len(children))
            if generation > 1:  # the first one starts the processes
                torch.set_num_threads(threads)
                start = time.perf_counter()
                scores = [
                    plain_scores(evaluator, bundle.network, one, LAYOUTS[DEFAULT])
                    for one in architectures
                ]
                plain.append((time.perf_counter() - start) / len(children))
                for genes, one in zip(children, scores, strict=True):
                    apart = abs(rewards[genes] - one["qq_top1"] * one["qg_top1"])
                    difference = max(difference, apart)
            ranked = sorted(rewards, key=rewards.__getitem__, reverse=True)[:population]
            children = _children(ranked, rewards, budget, settings, generation + 1)
    torch.set_num_threads(threads)
    seconds, theirs = median(ours[1:]), median(plain)
    row = {
        "what": f"children, {jobs} processes of {each} thread{'s' * (each > 1)}",
        "against": f"plain, {DEFAULT}, {threads} threads",
        "ours_per_cpu_s": None,
        "theirs_per_cpu_s": None,
        "ratio": None,
        "ratio_wall": round(theirs / seconds, 2),
        "goal": 3.0,
    }
    return row, difference


def _children(
    ranked: list[tuple[int, ...]],
    seen: Mapping[tuple[int, ...], float],
    budget: FlopsBudget,
    settings: EvolutionSettings,
    generation: int,
) -> list[tuple[int, ...]]:
    """The next generation of the evolution."""
    proposal = next_generation(
        ranked,
        {bytes(genes) for genes in seen},
        Space.of(budget),
        settings,
        seed=0,
        generation=generation,
    )
    return [tuple(genes) for genes in proposal.children.tolist()]


def _timed(times: list[tuple[float, float]], job: Callable[..., Any], *args: Any) -> Any:
    """What `job` gives; its time is added to `times`."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = job(*args)
    times.append((time.process_time() - cpu, time.perf_counter() - wall))
    return found


def main() -> None:
    """Measures, prints the rows and, with --json, writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--supernet", type=Path, default=kit.path("supernet"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="*", default=[128, 256])
    parser.add_argument("--candidates", type=int, default=12, help="population; 0 skips them")
    parser.add_argument("--generations", type=int, default=2, help="of children")
    given = parser.parse_args()
    bundle = SupernetBundle.load(given.supernet)
    rows: list[dict[str, Any]] = []
    for batch in given.batches:
        rows += training_rows(bundle.network, batch, given.turns)
    differences: dict[str, float] = {}
    if given.candidates:
        found, differences = evaluation_rows(bundle, given.candidates, given.generations)
        row, differences["search"] = search_row(bundle, given.candidates, given.generations)
        rows += [*found, row]
    print(table_text(rows, width=200))
    print(f"Largest difference of R3 to the plain way in {DEFAULT}: {differences}")
    print(f"{torch.get_num_threads()} threads")
    if given.json:
        about = {"threads": torch.get_num_threads(), "provenance": provenance()}
        write_json(given.json, {"rows": rows, "differences": differences, **about})


if __name__ == "__main__":
    main()
