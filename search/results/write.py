"""Writes the files of a finished search: architectures, pictures and result.json."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from edgecmp.errors import UserError
from edgecmp.files import json_bytes
from edgecmp.progress import say
from edgecmp.search.results.pareto_plot import draw_pareto
from edgecmp.search.results.result import SearchResult
from edgecmp.search.results.search_plot import draw_search
from edgecmp.search.results.summary import FinishedSearch, summarised
from edgecmp.search.results.verify import Verification
from edgecmp.search.space.constraint import budget_text
from edgecmp.storage import write_folder

__all__ = ["write_result"]


def write_result(search: FinishedSearch, verification: Verification) -> SearchResult:
    """Summarises a search and writes all its files except the history, at once.

    If the pictures cannot be written, the result is written without them, and those of an earlier
    result are removed.

    Raises:
        UserError: a file cannot be written; an earlier result is unchanged.
    """
    result = summarised(search, verification)
    pictures = _pictures(search, verification, result)
    try:
        write_folder(result.out, {**_architectures(result), **pictures, **_document(result)})
    except UserError as error:
        result = replace(result, drawn=False)
        write_folder(result.out, {**_architectures(result), **_document(result)})
        for name in pictures:
            with suppress(OSError):  # there is none, or it is what cannot be replaced
                (result.out / name).unlink()
        say(f"The pictures were not written, but the result is complete. {error}")
    return result


def _architectures(result: SearchResult) -> dict[str, bytes]:
    """The winner's file, and that of the best under each smaller budget."""
    files = {result.files["winner"].name: json_bytes(result.architecture.to_dict())}
    for row in result.smaller:
        file = result.files[f"best under {budget_text(row['budget'])}"]
        files[file.name] = json_bytes(row["architecture"])
    return files


def _document(result: SearchResult) -> dict[str, bytes]:
    """result.json, the last file that is replaced."""
    return {result.files["result"].name: json_bytes(result.to_dict())}


def _pictures(
    search: FinishedSearch, verification: Verification, result: SearchResult
) -> dict[str, Callable[[Path], Path]]:
    """What draws each picture, by its name."""
    ranked, reward, space = search.outcome.ranked, search.settings.reward, search.space
    title = (
        f"{len(ranked)} architectures of the {search.evaluator.tier} tier under "
        f"{space.budget / 1e6:g}M FLOPs"
    )
    if space.latency_ms is not None:
        title += f" and {space.latency_ms:g} ms"
    note = f"\n{search.queries_note}" if search.queries_note else ""

    def draw(path: Path) -> Path:
        return draw_search(
            ranked,
            reward,
            path,
            winner=verification.winner,
            budget=space.budget,
            title=title + note,
        )

    def draw_front(path: Path) -> Path:
        return draw_pareto(
            ranked,
            search.predicted_ms,
            reward,
            path,
            bound_ms=space.latency_ms,
            winner=verification.winner,
            measured_ms=verification.measured_ms,
            title=(f"{title} on {result.device}" if result.device else title) + note,
        )

    files: dict[str, Callable[[Path], Path]] = {result.files["picture"].name: draw}
    if "front" in result.files:
        files[result.files["front"].name] = draw_front
    return files
