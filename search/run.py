"""`edgecmp search`: from bounds to an architecture, a history and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.artefacts.latency_table import LatencyTable
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.files import write_json
from edgecmp.gallery.source import Gallery
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.layerwise import CACHE_BYTES
from edgecmp.progress import say
from edgecmp.search.evaluation.candidate import Evaluator
from edgecmp.search.evaluation.sized import SizedEvaluator
from edgecmp.search.evaluation.supernet import SupernetEvaluator
from edgecmp.search.evaluation.workers import WORTH_WORKERS, default_jobs
from edgecmp.search.loop import SearchOutcome, SearchSettings, search
from edgecmp.search.results.history import read_header
from edgecmp.search.results.pareto_plot import draw_pareto
from edgecmp.search.results.result import SearchResult
from edgecmp.search.results.search_plot import draw_search
from edgecmp.search.results.summary import latencies, summarised
from edgecmp.search.results.verify import Remeasure, Verification, earlier, verify
from edgecmp.search.settings import search_settings
from edgecmp.search.space.constraint import Constraint, FlopsBudget, budget_text, parse_budgets
from edgecmp.search.space.flops import FlopsTable
from edgecmp.search.space.latency_budget import LatencyBudget, parse_latency
from edgecmp.search.space.space import Space, parse_sizes

__all__ = ["open_evaluator", "run", "search_and_write"]


def run(
    budget: str,
    *,
    out: str | Path,
    latency: str | None = None,
    table: str | Path | None = None,
    lowering: str | None = None,
    remeasure: Remeasure | None = None,
    supernet: str | Path | None = None,
    gallery: Gallery = None,
    data: str = "emoji",
    reward: str = "r3",
    metric: str | None = None,
    quick: bool = False,
    seed: int = 0,
    strategy: str = "evolution",
    input_sizes: str | None = None,
    generations: int | None = None,
    population: int | None = None,
    jobs: int | None = None,
) -> SearchResult:
    """Searches the architecture with the highest reward under its bounds (supplement A.3).

    Run again with the same arguments it takes up `out`/history.jsonl where that stops.

    Args:
        budget: FLOPs at 224 x 224 by fvcore's rules: "100M", "0.1G" or "95000000"; a list such as
            "100M,80M" also gives the best under each smaller one, but not by evolution.
        out: folder for architecture.json, history.jsonl, search.png, result.json; with a latency
            bound or the pareto strategy pareto.png; architecture-80M.json for a smaller budget.
        latency: of one query, "4ms" or "850us", by the table; candidates hold both bounds.
        table: the latency table of the device, as `edgecmp latency build` wrote it.
        lowering: hash of today's lowering; the table must be of the same. None: not compared.
        remeasure: measures whole networks on the table's device; the winner is then the best that
            holds the bound there.
        supernet: folder of a trained supernet; the starter kit's by default.
        gallery: the gallery it was trained with, as `open_source` takes it; the starter kit's by
            default.
        data: registry name, folder or manifest; its hold-out identities make the rewards.
        strategy, reward, metric, quick, seed, generations, population: see `search_settings`.
        input_sizes: pixels that queries may be deployed at, "48,56,64": the size becomes a gene,
            and the budget counts it as `Space` says; the gallery model keeps its own size.
        jobs: processes that evaluate at once; they change no number. None: one a core, as many as
            memory allows, for more than a few evaluations.

    Raises:
        UserError: an argument is unknown, nothing holds the bounds, the table is of another
            network than the supernet's, or `out` holds another search.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"{jobs} jobs evaluate nothing.", "Use --jobs 1 or more.")
    budgets = parse_budgets(budget)
    settings = search_settings(
        strategy=strategy,
        reward=reward,
        metric=metric,
        quick=quick,
        seed=seed,
        generations=generations,
        population=population,
    )
    if len(budgets) > 1 and settings.name == "evolution":
        raise UserError(
            f"The evolution searches one budget, not {len(budgets)}.",
            "Search them by --strategy predictor or pareto, or one after the other.",
        )
    if (latency is None) != (table is None):
        raise UserError(
            "A latency bound needs a latency and the table of a device.",
            "Give both: --latency 4ms --table table.json (edgecmp latency build writes one).",
        )
    if input_sizes and table:
        raise UserError(
            "A latency table holds one input size, so it cannot bound several.",
            "Leave out --input-sizes, or --latency and --table.",
        )
    sizes = parse_sizes(input_sizes) if input_sizes else []
    latency_ms = parse_latency(latency) if latency else None
    times = LatencyTable.load(table) if table else None
    if times and lowering:
        times.require_lowering(lowering)
    bundle = SupernetBundle.load(supernet or kit.path("supernet"))
    if metric is None:  # what the supernet's recipe says (supplement A.3), if it says it
        own = str(bundle.manifest.recipe.get("metric", settings.metric))
        settings = replace(settings, metric=own)
    network, native = bundle.network, bundle.preprocessing.input_size
    flops_table = FlopsTable.of(network.tier, embedding_dim=network.embedding_dim)
    if times:
        deployed = FlopsTable.of(network.tier, native, network.embedding_dim)
        times.predict(deployed.smallest())  # refuses a table of other networks

    def space(flops: int) -> Space:
        if sizes:
            return Space.sized(flops_table, flops, sizes, native=native)
        alone = FlopsBudget(flops_table, flops)
        if times and latency_ms:
            return Space.of(LatencyBudget(alone, times, latency_ms))
        return Space.of(alone)

    spaces = [space(flops) for flops in budgets]
    kept = _threads_of(Path(out) / "history.jsonl")
    if jobs is None:
        worth = settings.strategy(spaces).expected_evaluations >= WORTH_WORKERS
        jobs = max(1, default_jobs() // (kept or 1)) if worth else 1
    with _threads(kept or max(1, torch.get_num_threads() // jobs)):
        cache_bytes = CACHE_BYTES // jobs
        evaluator: Evaluator = (
            SizedEvaluator(bundle, gallery, load_dataset(data), sizes, cache_bytes=cache_bytes)
            if sizes
            else open_evaluator(bundle, gallery=gallery, data=data, cache_bytes=cache_bytes)
        )
        return search_and_write(
            evaluator,
            spaces[0],
            settings,
            Path(out),
            remeasure=remeasure,
            table=table,
            tighter=spaces[1:],
            jobs=jobs,
        )


def open_evaluator(
    supernet: SupernetBundle,
    *,
    gallery: Gallery,
    data: str,
    calibration_seed: int = 0,
    cache_bytes: int = CACHE_BYTES,
) -> SupernetEvaluator:
    """The evaluator of a supernet on the hold-out of `data`."""
    return SupernetEvaluator(
        supernet,
        gallery,
        load_dataset(data),
        calibration_seed=calibration_seed,
        cache_bytes=cache_bytes,
    )


def search_and_write(
    evaluator: Evaluator,
    budget: Constraint | Space,
    settings: SearchSettings,
    out: Path,
    *,
    remeasure: Remeasure | None = None,
    table: str | Path | None = None,
    tighter: Sequence[Space] = (),
    jobs: int = 1,
) -> SearchResult:
    """Searches with any evaluator and writes the files into `out`.

    With a latency bound they are written twice, before and after the best are measured again:
    whatever happens on the device, the result is there, and what an earlier run measured stays.
    """
    bound = Space.of(budget)
    for space in (bound, *tighter):
        for sentence in space.describe():
            say(sentence)
    history = out / "history.jsonl"
    outcome = search(evaluator, bound, settings, history=history, tighter=tighter, jobs=jobs)
    if outcome.exhausted:
        say(
            f"The search ended early: {len(outcome.ranked)} of the {bound.count:,.0f} "
            "architectures within these bounds were evaluated, and no other was found."
        )
    before = earlier(out / "result.json", bound.to_dict(), len(outcome.ranked))
    result = _written(outcome, evaluator, bound, settings, before, tighter, out)
    predicted = latencies(outcome.ranked, bound)
    if predicted is None or bound.latency_ms is None:
        return result
    later = f"edgecmp latency check {table or 'TABLE'} --architecture {out}"
    if remeasure is None:
        say(f"The winner's latency is by the table alone. To measure it: {later}")
        return result
    found = verify(
        [candidate.architecture(evaluator) for candidate in outcome.ranked],
        predicted.tolist(),
        bound.latency_ms,
        remeasure,
        later=later,
    )
    if found.holds is None and before.holds is not None:
        say("What an earlier run measured stands.")
        return result
    return _written(outcome, evaluator, bound, settings, found, tighter, out)


def _written(
    outcome: SearchOutcome,
    evaluator: Evaluator,
    bound: Space,
    settings: SearchSettings,
    found: Verification,
    tighter: Sequence[Space],
    out: Path,
) -> SearchResult:
    """The result, after its files but for the history were written."""
    result = summarised(outcome, evaluator, bound, settings, found, tighter=tighter, out=out)
    result.architecture.save(result.files["winner"])
    for row in result.tighter:
        file = result.files[f"best under {budget_text(row['budget'])}"]
        Architecture.from_dict(row["architecture"], source=str(file)).save(file)
    title = (
        f"{len(outcome.ranked)} architectures of the {evaluator.tier} tier under "
        f"{bound.budget / 1e6:g}M FLOPs"
    )
    if bound.latency_ms is not None:
        title += f" and {bound.latency_ms:g} ms"
    draw_search(
        outcome.ranked,
        settings.reward,
        result.files["picture"],
        winner=found.winner,
        budget=bound.budget,
        title=title,
    )
    predicted = latencies(outcome.ranked, bound)
    if "front" in result.files:
        draw_pareto(
            outcome.ranked,
            predicted,
            settings.reward,
            result.files["front"],
            bound_ms=bound.latency_ms,
            winner=found.winner,
            measured_ms=found.measured_ms,
            title=f"{title} on {result.device}" if result.device else title,
        )
    write_json(result.files["result"], result.to_dict())
    return result


def _threads_of(history: Path) -> int | None:
    """With how many threads a history was begun: sums round differently with others."""
    header = read_header(history)
    kept = header["search"].get("evaluator", {}).get("threads") if header else None
    return kept if isinstance(kept, int) and kept > 0 else None


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Has torch compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
