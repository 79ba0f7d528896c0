"""Searching architectures, and ranking what a search found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecmp.errors import UserError

if TYPE_CHECKING:
    from edgecmp.api.paths import PathLike
    from edgecmp.gallery.source import Gallery
    from edgecmp.networks.architecture import Architecture
    from edgecmp.search.results.rerank import Ranking
    from edgecmp.search.results.result import SearchResult
    from edgecmp.search.results.verify import Remeasure

__all__ = ["rank", "search"]


def search(
    budget: str,
    *,
    out: PathLike,
    latency: str | None = None,
    table: PathLike | None = None,
    supernet: PathLike | None = None,
    gallery: Gallery = None,
    data: str = "emoji",
    reward: str = "r3",
    metric: str | None = None,
    strategy: str = "evolution",
    input_sizes: str | None = None,
    quick: bool = False,
    population: int | None = None,
    generations: int | None = None,
    jobs: int | None = None,
    seed: int = 0,
) -> SearchResult:
    """Searches the architecture with the highest reward under its bounds (supplement A.3).

    Candidates are scored with the supernet's weights by how many hold-out queries they retrieve. An
    interrupted search resumes when it is called again with the same arguments. With a latency table
    the best candidates are measured again on the table's device, and the winner is the best that
    satisfies the bound there.

    Args:
        budget: FLOPs at 224 x 224 by fvcore's rules: "100M"; a list such as "100M,80M" also returns
            the best under each smaller one, for strategies other than evolution.
        out: folder for architecture.json, history.jsonl, result.json and pictures.
        latency: the longest a query may take, "4ms" or "850us"; needs `table`.
        table: the latency table of the device, from `build_latency_table`.
        supernet: folder of a trained supernet; the starter kit's by default.
        gallery: the gallery that it was trained with, as in `train_supernet`.
        data: as `load_data` takes it; its validation split makes the rewards.
        reward: a name of `list_rewards`.
        metric: accuracy that the reward is made of, such as "top1"; that of the supernet's recipe
            by default.
        strategy: a name of `list_strategies`.
        input_sizes: "48,56,64": the size of the query's image is searched too.
        quick: about 100 evaluations instead of 730.
        population: candidates per generation, instead of the strategy's own number.
        generations: instead of the strategy's own number.
        jobs: processes that evaluate at once; they change no result.
        seed: the same seed gives the same result.

    Raises:
        UserError: an argument is unknown, nothing satisfies the bounds, the table is of another
            network or of other code that lowers networks, or `out` holds another search.
    """
    from edgecmp.search.run import run

    return run(
        budget,
        out=out,
        latency=latency,
        table=table,
        lowering=_lowering() if table else None,
        remeasure=_remeasure(Path(table)) if table else None,
        supernet=supernet,
        gallery=gallery,
        data=data,
        reward=reward,
        metric=metric,
        quick=quick,
        seed=seed,
        strategy=strategy,
        input_sizes=input_sizes,
        generations=generations,
        population=population,
        jobs=jobs,
    )


def _lowering() -> str:
    """The hash of the code that lowers networks today."""
    from edgecmp.export.fingerprint import lowering_fingerprint

    return lowering_fingerprint()


def _remeasure(table: Path) -> Remeasure:
    """Measures whole networks on the device of a latency table, in ms."""

    def measured(architectures: Sequence[Architecture]) -> Sequence[float]:
        from edgecmp.artefacts.latency_table import LatencyTable
        from edgecmp.benchmarks.devices import DeviceRunError

        try:
            from edgecmp.benchmarks.latency import measure_networks

            return measure_networks(LatencyTable.load(table), architectures)
        except DeviceRunError as error:
            raise UserError(
                f"The networks could not be run on the device ({error}).",
                "Read what the device reports, then run the search again.",
            ) from error
        except ImportError as error:
            raise UserError(
                f"{error.name} is missing, which writes or runs the networks.",
                "Install it with `pip install 'edgecmp[export]'`.",
            ) from error

    return measured


def rank(
    search: PathLike,
    *,
    reward: str | None = None,
    metric: str | None = None,
    budget: str | None = None,
    top: int = 5,
    out: PathLike | None = None,
) -> Ranking:
    """Ranks a search's candidates by another reward, metric or budget, without evaluating again.

    Args:
        search: folder of a search, finished or not, or its history.jsonl.
        reward: a name of `list_rewards`; the search's own by default.
        metric: that the reward is made of; the search's own by default.
        budget: ranks only candidates of at most so many FLOPs.
        top: how many.
        out: folder for their architectures; nothing is written if None.

    Raises:
        UserError: there is no history, it was changed, or an argument is unknown.
    """
    from edgecmp.search.results.rerank import rerank

    return rerank(search, reward=reward, metric=metric, budget=budget, top=top, out=out)
