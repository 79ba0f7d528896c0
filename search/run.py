"""`edgecmp search`: from bounds to an architecture, a history and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from edgecmp import kit
from edgecmp.bundle import SupernetBundle
from edgecmp.data import load_dataset
from edgecmp.errors import UserError
from edgecmp.files import write_json
from edgecmp.gallery_source import Gallery
from edgecmp.latency import LatencyTable
from edgecmp.progress import say
from edgecmp.search.candidate import Evaluator, architecture_of
from edgecmp.search.constraint import FlopsBudget, parse_budget
from edgecmp.search.evaluator import SupernetEvaluator
from edgecmp.search.flops import FlopsTable
from edgecmp.search.history import read_header
from edgecmp.search.latency_budget import LatencyBudget, parse_latency
from edgecmp.search.loop import SearchOutcome, SearchSettings, search
from edgecmp.search.pareto_picture import draw_pareto
from edgecmp.search.picture import draw_search
from edgecmp.search.result import SearchResult
from edgecmp.search.settings import search_settings
from edgecmp.search.summary import latencies, summarised
from edgecmp.search.verify import Remeasure, Verification, earlier, verify

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
    generations: int | None = None,
    population: int | None = None,
) -> SearchResult:
    """Searches the architecture with the highest reward under its bounds (supplement A.3).

    Run again with the same arguments it takes up `out`/history.jsonl where that stops.

    Args:
        budget: FLOPs at 224 x 224 by fvcore's rules: "100M", "0.1G" or "95000000".
        out: folder for architecture.json, history.jsonl, search.png, result.json and, with a
            latency bound, pareto.png.
        latency: of one query, "4ms" or "850us", by the table; candidates hold both bounds.
        table: the latency table of the device, as `edgecmp latency build` wrote it.
        lowering: hash of today's lowering; the table must be of the same. None: not compared.
        remeasure: measures whole networks on the table's device; the winner is then the best that
            holds the bound there.
        supernet: folder of a trained supernet; the starter kit's by default.
        gallery: the gallery it was trained with, as `open_source` takes it; the starter kit's by
            default.
        data: registry name, folder or manifest; its hold-out identities make the rewards.
        reward, metric, quick, seed, generations, population: see `search_settings`.

    Raises:
        UserError: an argument is unknown, nothing holds the bounds, the table is of another
            network than the supernet's, or `out` holds another search.
    """
    flops = parse_budget(budget)
    settings = search_settings(
        reward=reward,
        metric=metric,
        quick=quick,
        seed=seed,
        generations=generations,
        population=population,
    )
    if (latency is None) != (table is None):
        raise UserError(
            "A latency bound needs a latency and the table of a device.",
            "Give both: --latency 4ms --table table.json (edgecmp latency build writes one).",
        )
    latency_ms = parse_latency(latency) if latency else None
    times = LatencyTable.load(table) if table else None
    if times and lowering:
        times.require_lowering(lowering)
    bundle = SupernetBundle.load(supernet or kit.path("supernet"))
    network = bundle.network
    flops_table = FlopsTable.of(network.tier, embedding_dim=network.embedding_dim)
    budget_alone = FlopsBudget(flops_table, flops)
    bound: FlopsBudget | LatencyBudget = budget_alone
    if times and latency_ms:
        deployed = (network.tier, bundle.preprocessing.input_size, network.embedding_dim)
        times.predict(FlopsTable.of(*deployed).smallest())  # refuses a table of other networks
        bound = LatencyBudget(budget_alone, times, latency_ms)
    with _threads_of(Path(out) / "history.jsonl"):
        evaluator = open_evaluator(bundle, gallery=gallery, data=data)
        return search_and_write(
            evaluator, bound, settings, Path(out), remeasure=remeasure, table=table
        )


def open_evaluator(
    supernet: SupernetBundle, *, gallery: Gallery, data: str, calibration_seed: int = 0
) -> SupernetEvaluator:
    """The evaluator of a supernet on the hold-out of `data`."""
    return SupernetEvaluator(
        supernet,
        gallery,
        load_dataset(data),
        calibration_seed=calibration_seed,
    )


def search_and_write(
    evaluator: Evaluator,
    bound: FlopsBudget | LatencyBudget,
    settings: SearchSettings,
    out: Path,
    *,
    remeasure: Remeasure | None = None,
    table: str | Path | None = None,
) -> SearchResult:
    """Searches with any evaluator and writes the files into `out`.

    With a latency bound they are written twice, before and after the best are measured again:
    whatever happens on the device, the result is there, and what an earlier run measured stays.
    """
    for sentence in bound.describe():
        say(sentence)
    outcome = search(evaluator, bound, settings, history=out / "history.jsonl")
    if outcome.exhausted:
        say(
            f"The search ended early: {len(outcome.ranked)} of the {bound.count:,.0f} "
            "architectures within these bounds were evaluated, and no other was found."
        )
    before = earlier(out / "result.json", bound.to_dict(), len(outcome.ranked))
    result = _written(outcome, evaluator, bound, settings, before, out)
    predicted = latencies(outcome.ranked, bound)
    if predicted is None or bound.latency_ms is None:
        return result
    later = f"edgecmp latency check {table or 'TABLE'} --architecture {out}"
    if remeasure is None:
        say(f"The winner's latency is by the table alone. To measure it: {later}")
        return result
    found = verify(
        [architecture_of(candidate.genes, evaluator) for candidate in outcome.ranked],
        predicted.tolist(),
        bound.latency_ms,
        remeasure,
        later=later,
    )
    if found.holds is None and before.holds is not None:
        say("What an earlier run measured stands.")
        return result
    return _written(outcome, evaluator, bound, settings, found, out)


def _written(
    outcome: SearchOutcome,
    evaluator: Evaluator,
    bound: FlopsBudget | LatencyBudget,
    settings: SearchSettings,
    found: Verification,
    out: Path,
) -> SearchResult:
    """The result, after its files but for the history were written."""
    share_flops = bound.flops.share if isinstance(bound, LatencyBudget) else bound.share
    result = summarised(
        outcome, evaluator, bound, settings, found, share_flops=share_flops, out=out
    )
    result.architecture.save(result.files["winner"])
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
    if predicted is not None and bound.latency_ms is not None:
        draw_pareto(
            outcome.ranked,
            predicted,
            settings.reward,
            result.files["front"],
            bound_ms=bound.latency_ms,
            winner=found.winner,
            measured_ms=found.measured_ms,
            title=f"{title} on {result.device}",
        )
    write_json(result.files["result"], result.to_dict())
    return result


@contextmanager
def _threads_of(history: Path) -> Iterator[None]:
    """Evaluates with as many threads as the history was begun with: sums round differently else."""
    before = torch.get_num_threads()
    header = read_header(history)
    kept = header["search"].get("evaluator", {}).get("threads") if header else None
    if isinstance(kept, int) and kept > 0:
        torch.set_num_threads(kept)
    try:
        yield
    finally:
        torch.set_num_threads(before)
