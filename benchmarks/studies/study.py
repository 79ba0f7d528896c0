"""The common parts of all studies: the parser, printed tables and the written document.

Every study is run with `python -m edgecmp.benchmarks.studies.NAME`. Its --help is its module
docstring; tables are printed to stdout, and the document is JSON with its provenance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from edgecmp.files import provenance, write_json
from edgecmp.progress import say
from edgecmp.report import print_table

__all__ = ["means_of_arms", "print_rows", "study_parser", "write_study"]


def study_parser(text: str | None) -> argparse.ArgumentParser:
    """A parser whose --help is the given module docstring, with its line breaks."""
    return argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table and flushes it, even into a pipe, since a study may take hours."""
    print_table(rows)
    sys.stdout.flush()


def means_of_arms(
    cells: Iterable[Mapping[str, Any]], *, alike: Sequence[str], scores: Sequence[str]
) -> list[dict[str, Any]]:
    """One row per arm: means over its seeds; "spread" is the range of M(q,g) top-10 over them.

    Args:
        cells: one per training, with "arm" and "seconds".
        alike: names of what all cells of an arm have in common.
        scores: names of their results.
    """
    by_arm: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        by_arm.setdefault(cell["arm"], []).append(cell)
    rows = []
    for arm, runs in by_arm.items():
        tens = [run["qg_top10"] for run in runs]
        rows.append(
            {
                "arm": arm,
                **{name: runs[0][name] for name in alike},
                "seeds": len(runs),
                **{name: round(mean(run[name] for run in runs), 2) for name in scores},
                "spread": round(max(tens) - min(tens), 2),
                "seconds": round(mean(run["seconds"] for run in runs), 1),
            }
        )
    return rows


def write_study(path: Path, document: Mapping[str, Any]) -> None:
    """Writes the document of a study with its provenance, and reports its path.

    Raises:
        UserError: the file cannot be written.
    """
    say(f"Wrote {write_json(path, {**document, 'provenance': provenance()})}.")
