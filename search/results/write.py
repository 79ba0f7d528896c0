"""Writes the files of a finished search: architectures, pictures and result.json."""

from __future__ import annotations

from edgecmp.files import write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.search.results.pareto_plot import draw_pareto
from edgecmp.search.results.result import SearchResult
from edgecmp.search.results.search_plot import draw_search
from edgecmp.search.results.summary import FinishedSearch, summarised
from edgecmp.search.results.verify import Verification
from edgecmp.search.space.constraint import budget_text

__all__ = ["write_result"]


def write_result(search: FinishedSearch, verification: Verification) -> SearchResult:
    """Summarises a search and writes all its files except the history.

    Raises:
        UserError: a file cannot be written.
    """
    ranked, reward, space = search.outcome.ranked, search.settings.reward, search.space
    result = summarised(search, verification)
    result.architecture.save(result.files["winner"])
    for row in result.smaller:
        file = result.files[f"best under {budget_text(row['budget'])}"]
        Architecture.from_dict(row["architecture"], source=str(file)).save(file)
    title = (
        f"{len(ranked)} architectures of the {search.evaluator.tier} tier under "
        f"{space.budget / 1e6:g}M FLOPs"
    )
    if space.latency_ms is not None:
        title += f" and {space.latency_ms:g} ms"
    draw_search(
        ranked,
        reward,
        result.files["picture"],
        winner=verification.winner,
        budget=space.budget,
        title=title,
    )
    if "front" in result.files:
        draw_pareto(
            ranked,
            search.predicted_ms,
            reward,
            result.files["front"],
            bound_ms=space.latency_ms,
            winner=verification.winner,
            measured_ms=verification.measured_ms,
            title=f"{title} on {result.device}" if result.device else title,
        )
    write_json(result.files["result"], result.to_dict())
    return result
