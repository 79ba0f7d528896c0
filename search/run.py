"""`edgecmp search`: from a budget to an architecture, a history and a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from edgecmp import kit
from edgecmp.bundle import GalleryBundle, SupernetBundle
from edgecmp.data import load_dataset
from edgecmp.errors import UserError, unknown_choice
from edgecmp.files import write_json
from edgecmp.progress import say
from edgecmp.search.candidate import Candidate, Evaluator, architecture_of
from edgecmp.search.constraint import FlopsBudget, parse_budget
from edgecmp.search.evaluator import METRICS, SupernetEvaluator
from edgecmp.search.evolution import EvolutionSettings
from edgecmp.search.flops import FlopsTable
from edgecmp.search.history import read_header
from edgecmp.search.loop import SearchOutcome, SearchSettings, search
from edgecmp.search.picture import draw_search
from edgecmp.search.result import SearchResult
from edgecmp.search.rewards import reward as reward_named

__all__ = ["DEFAULT_METRIC", "open_evaluator", "run", "search_and_write"]

DEFAULT_METRIC = "top1"

FULL = (50, 20)
QUICK = (20, 7)
"""(population, generations): about 730 evaluations (supplement A.3), and about 100."""

TOP = 5
"""Rows of the result: the supplement's Figure 1 averages the best five."""


def run(
    budget: str,
    *,
    out: str | Path,
    supernet: str | Path | None = None,
    gallery: str | Path | None = None,
    data: str = "emoji",
    reward: str = "r3",
    metric: str | None = None,
    quick: bool = False,
    seed: int = 0,
    generations: int | None = None,
    population: int | None = None,
) -> SearchResult:
    """Searches the architecture with the highest reward under a budget (supplement A.3).

    Run again with the same arguments it takes up `out`/history.jsonl where that stops.

    Args:
        budget: FLOPs at 224 x 224 by fvcore's rules: "100M", "0.1G" or "95000000".
        out: folder for architecture.json, history.jsonl, search.png and result.json.
        supernet: folder of a trained supernet; the starter kit's by default.
        gallery: folder of the gallery model it was trained with; the starter kit's by default.
        data: registry name, folder or manifest; its hold-out identities make the rewards.
        reward: "r1", "r2", "r3" or "r3sum".
        metric: accuracy that the reward is made of, one of `METRICS`.
        quick: about 100 evaluations instead of about 730.
        seed: of the evolution; 0 or more.
        generations: instead of the paper's 20.
        population: instead of the paper's 50.

    Raises:
        UserError: an argument is unknown, nothing meets the budget, or `out` holds another search.
    """
    flops = parse_budget(budget)
    reward_named(reward)
    if metric is not None and metric not in METRICS:
        raise unknown_choice("metric", metric, METRICS)
    if seed < 0:
        raise UserError(f"A seed of {seed} cannot be used.", "Choose 0 or more.")
    size, rounds = QUICK if quick else FULL
    size = size if population is None else population
    rounds = rounds if generations is None else generations
    settings = SearchSettings(
        reward=reward,
        metric=metric or DEFAULT_METRIC,
        seed=seed,
        evolution=EvolutionSettings(population=size, generations=rounds, retain=max(2, size // 5)),
    )
    bundle = SupernetBundle.load(supernet or kit.path("supernet"))
    network = bundle.network
    constraint = FlopsBudget(
        FlopsTable.of(network.tier, embedding_dim=network.embedding_dim), flops
    )
    with _threads_of(Path(out) / "history.jsonl"):
        evaluator = open_evaluator(bundle, gallery=gallery, data=data)
        return search_and_write(evaluator, constraint, settings, Path(out))


def open_evaluator(
    supernet: SupernetBundle, *, gallery: str | Path | None, data: str, calibration_seed: int = 0
) -> SupernetEvaluator:
    """The evaluator of a supernet on the hold-out of `data`."""
    return SupernetEvaluator(
        supernet,
        GalleryBundle.load(gallery or kit.path("gallery")),
        load_dataset(data),
        calibration_seed=calibration_seed,
    )


def search_and_write(
    evaluator: Evaluator, budget: FlopsBudget, settings: SearchSettings, out: Path
) -> SearchResult:
    """Searches with any evaluator and writes the four files into `out`."""
    say(
        f"Budget {budget.budget:,} FLOPs at {budget.table.input_size} x {budget.table.input_size}: "
        f"{_percent(budget.share)} of the {budget.table.tier} tier's {40.0**20:.1e} architectures."
    )
    outcome = search(evaluator, budget, settings, history=out / "history.jsonl")
    if outcome.exhausted:
        say(
            f"The search ended early: {len(outcome.ranked)} of the {budget.count:,.0f} "
            "architectures that meet this budget were evaluated, and no other was found."
        )
    result = _result(evaluator, budget, settings, outcome, out)
    result.architecture.save(result.files["winner"])
    draw_search(
        outcome.ranked,
        settings.reward,
        result.files["picture"],
        budget=budget.budget,
        title=(
            f"{len(outcome.ranked)} architectures of the {evaluator.tier} tier under "
            f"{budget.budget / 1e6:g}M FLOPs"
        ),
    )
    write_json(result.files["result"], result.to_dict())
    return result


def _result(
    evaluator: Evaluator,
    budget: FlopsBudget,
    settings: SearchSettings,
    outcome: SearchOutcome,
    out: Path,
) -> SearchResult:
    rows = [
        {"rank": rank, **_row(candidate, evaluator, budget.table, settings.reward)}
        for rank, candidate in enumerate(outcome.ranked[:TOP], start=1)
    ]
    return SearchResult(
        architecture=architecture_of(outcome.winner.genes, evaluator),
        rows=rows,
        budget=budget.budget,
        share=budget.share,
        reward=settings.reward,
        metric=settings.metric,
        seed=settings.seed,
        evaluations=len(outcome.ranked),
        new_evaluations=outcome.new,
        exhausted=outcome.exhausted,
        seconds=outcome.seconds,
        seconds_each=outcome.seconds_each,
        out=out,
    )


def _row(
    candidate: Candidate, evaluator: Evaluator, table: FlopsTable, reward: str
) -> dict[str, object]:
    architecture = architecture_of(candidate.genes, evaluator)
    deployed = FlopsTable.of(table.tier, architecture.input_size, architecture.embedding_dim)
    return {
        "generation": candidate.generation,
        "flops_224": candidate.flops,
        "macs_224": table.macs(architecture),
        "macs_deployed": deployed.macs(architecture),
        "mqq": round(100 * candidate.mqq, 2),
        "mqg": round(100 * candidate.mqg, 2),
        reward: round(candidate.reward(reward), 6),
    }


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else f"{100 * share:.1e} %"


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
