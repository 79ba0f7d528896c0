"""`edgecmp search`: from bounds to an architecture, a history and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.data import load_dataset
from edgecmp.gallery.source import Gallery
from edgecmp.networks.layerwise import CACHE_BYTES
from edgecmp.progress import say
from edgecmp.search.evaluation.candidate import Evaluator
from edgecmp.search.evaluation.multi_size import MultiSizeEvaluator
from edgecmp.search.evaluation.parallelism import Parallelism, torch_threads
from edgecmp.search.evaluation.supernet import open_evaluator
from edgecmp.search.loop import search
from edgecmp.search.request import SearchRequest
from edgecmp.search.results.history import recorded_threads
from edgecmp.search.results.result import SearchResult
from edgecmp.search.results.summary import FinishedSearch
from edgecmp.search.results.verify import Remeasure, previous_verification, verify
from edgecmp.search.results.write import write_result
from edgecmp.search.settings import SearchSettings, search_settings
from edgecmp.search.space.constraint import Constraint
from edgecmp.search.space.space import Space

__all__ = ["run", "search_and_write"]


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

    An interrupted search resumes from `out`/history.jsonl when it is run with the same arguments.

    Args:
        budget: FLOPs at 224 x 224 by fvcore's rules: "100M", "0.1G" or "95000000"; with a list such
            as "100M,80M" the best architecture under each smaller budget is searched too, which the
            evolution cannot do.
        out: folder for architecture.json, history.jsonl, search.png and result.json; with a latency
            bound or the pareto strategy also pareto.png; architecture-80M.json per smaller budget.
        latency: longest latency of one query by the table, "4ms" or "850us"; candidates satisfy
            both bounds.
        table: latency table of the device, written by `edgecmp latency build`.
        lowering: hash of today's lowering, which the table must match; not compared if None.
        remeasure: measures whole networks on the table's device; the winner is then the best one
            that meets the latency bound there.
        supernet: folder of a trained supernet; the starter kit's by default.
        gallery: the gallery that it was trained with, as `open_source` takes it; the starter kit's
            by default.
        data: registry name, folder or manifest; rewards are measured on its hold-out identities.
        reward: see `search_settings`.
        metric: accuracy that the reward is computed from; that of the supernet's recipe by default.
        quick: see `search_settings`.
        seed: of every random choice of the search.
        strategy: see `search_settings`.
        input_sizes: pixels that queries may be deployed at, "48,56,64": the size becomes a gene,
            and FLOPs are counted as `Space` describes; the gallery model keeps its own size.
        generations: instead of the strategy's own number.
        population: instead of the strategy's own size.
        jobs: processes that evaluate at once, which change no number; by default one per core, as
            many as memory allows, unless there are few evaluations.

    Raises:
        UserError: an argument is invalid, no architecture satisfies the bounds, the table is of
            other networks than the supernet's, or `out` contains another search.
    """
    request = SearchRequest.parse(
        budget,
        latency=latency,
        table=table,
        lowering=lowering,
        input_sizes=input_sizes,
        settings=search_settings(
            strategy=strategy,
            reward=reward,
            metric=metric,
            quick=quick,
            seed=seed,
            generations=generations,
            population=population,
        ),
        jobs=jobs,
    )
    bundle = SupernetBundle.load(supernet or kit.path("supernet"))
    settings = request.settings
    if metric is None:
        settings = replace(settings, metric=_recipe_metric(bundle, settings.metric))
    spaces = request.spaces(
        bundle.network.tier,
        input_size=bundle.preprocessing.input_size,
        embedding_dim=bundle.network.embedding_dim,
    )
    parallelism = Parallelism.choose(
        jobs=request.jobs,
        evaluations=settings.strategy.expected_evaluations,
        threads=recorded_threads(Path(out) / "history.jsonl"),
    )
    with torch_threads(parallelism.threads):
        return search_and_write(
            _evaluator(request, bundle, gallery, data, parallelism.jobs),
            spaces[0],
            settings,
            Path(out),
            remeasure=remeasure,
            table=table,
            smaller=spaces[1:],
            jobs=parallelism.jobs,
            supernet=bundle,
        )


def _recipe_metric(supernet: SupernetBundle, default: str) -> str:
    """The metric that the supernet's recipe states (supplement A.3)."""
    return str(supernet.manifest.recipe.get("metric", default))


def _evaluator(
    request: SearchRequest, supernet: SupernetBundle, gallery: Gallery, data: str, jobs: int
) -> Evaluator:
    """The evaluator of the supernet, at all requested input sizes."""
    cache_bytes = CACHE_BYTES // jobs
    if not request.input_sizes:
        return open_evaluator(supernet, gallery=gallery, data=data, cache_bytes=cache_bytes)
    return MultiSizeEvaluator(
        supernet, gallery, load_dataset(data), request.input_sizes, cache_bytes=cache_bytes
    )


def search_and_write(
    evaluator: Evaluator,
    budget: Constraint | Space,
    settings: SearchSettings,
    out: Path,
    *,
    remeasure: Remeasure | None = None,
    table: str | Path | None = None,
    smaller: Sequence[Space] = (),
    jobs: int = 1,
    supernet: SupernetBundle | None = None,
) -> SearchResult:
    """Searches with any evaluator and writes the files into `out`.

    With a latency bound they are written twice, before and after the best candidates are measured
    on the device, so that a failure there loses neither the result nor earlier measurements.

    Args:
        evaluator: measures candidates.
        budget: what all candidates satisfy.
        settings: what is maximised, and how.
        out: the folder.
        remeasure: measures whole networks on the table's device.
        table: file of the latency table, for the command that is suggested to the user.
        smaller: spaces of smaller budgets, searched too.
        jobs: processes that evaluate at once.
        supernet: that the evaluator uses, if it does; the result records it for `train query`.

    Raises:
        UserError: see `edgecmp.search.loop.search`.
    """
    space = Space.of(budget)
    for each in (space, *smaller):
        for sentence in each.describe():
            say(sentence)
    outcome = search(
        evaluator, space, settings, history=out / "history.jsonl", smaller=smaller, jobs=jobs
    )
    if outcome.exhausted:
        say(
            f"The search ended early: {len(outcome.ranked)} of the {space.count:,.0f} "
            "architectures within the bounds were evaluated, and no others were found."
        )
    finished = FinishedSearch(
        outcome=outcome,
        evaluator=evaluator,
        space=space,
        settings=settings,
        smaller=smaller,
        out=out,
        supernet=supernet,
    )
    previous = previous_verification(
        out / "result.json", space.to_dict(), evaluations=len(outcome.ranked)
    )
    result = write_result(finished, previous)
    predicted_ms = finished.predicted_ms
    if predicted_ms is None or space.latency_ms is None:
        return result
    command = f"edgecmp latency check {table or 'TABLE'} --architecture {out}"
    if remeasure is None:
        say(f"The winner's latency is predicted, not measured; to measure it, run: {command}")
        return result
    verification = verify(
        [candidate.architecture(evaluator) for candidate in outcome.ranked],
        predicted_ms.tolist(),
        space.latency_ms,
        remeasure,
        command=command,
    )
    if verification.satisfied is None and previous.satisfied is not None:
        say("The measurements of the previous run are kept.")
        return result
    return write_result(finished, verification)
