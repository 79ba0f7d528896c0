"""The metrics at IJB-C's size: time, peak memory, and the difference from slow references.

    OMP_NUM_THREADS=1 python -m edgecmp.benchmarks.studies.ijbc_size
    python -m edgecmp.benchmarks.studies.ijbc_size --json ijbc.json

The embeddings are random: 469,375 faces in 23,124 templates of 3,531 subjects, 128 values each,
those of the query network with more noise; 15,658,489 pairs, 19,557 of them genuine; 19,593 probes
searched in 3,531 gallery templates. First edgecmp computes every step, and the table states the
peak memory of the process until then; `edgecmp.benchmarks.studies.ijbc_references` then computes
everything again, which is not included in the memory. Needs edgecmp[dev].
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgecmp.benchmarks.studies.ijbc_drawn import Sizes, World, draw
from edgecmp.benchmarks.studies.ijbc_references import (
    identified_by_sorting,
    scores_by_gathering,
    tars_by_roc_curve,
    templates_by_loops,
)
from edgecmp.benchmarks.studies.study import print_rows, study_parser, write_study
from edgecmp.data.ijbc import template_embeddings
from edgecmp.data.ijbc.text_files import read_pairs
from edgecmp.evaluation.ijbc import ijbc_shares
from edgecmp.metrics import pair_scores
from edgecmp.progress import say

__all__ = ["LIMIT_GIB", "main", "measure"]

LIMIT_GIB = 8.0
LINES_AT_ONCE = 1_000_000
FORMS = {"nist": False, "insightface": True}

Result = TypeVar("Result")


class _Clock:
    """Runs steps, and records a row for each."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def __call__(self, step: str, work: Callable[[], Result]) -> Result:
        say(step)
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        self.rows.append({"step": step, "seconds": seconds, "peak_gib": _peak_gib()})
        return result

    def compare(self, step: str, difference: float, seconds: float | None = None) -> None:
        """Adds the difference from the reference, and its time, to the row of a step."""
        row = next(row for row in self.rows if row["step"] == step)
        row["difference"] = f"{difference:.1e}"
        if seconds is not None:
            row |= {"reference_seconds": seconds, "ratio": seconds / row["seconds"]}


def _peak_gib() -> float:
    """The peak memory of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _largest(one: Mapping[str, float | None], other: Mapping[str, float]) -> float:
    """The largest difference between figures of the same name, where both exist."""
    pairs = ((one[name], value) for name, value in other.items())
    return max(abs(share - value) for share, value in pairs if share is not None)


def measure(sizes: Sizes, *, seed: int = 0) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Runs every step and its reference.

    Returns:
        One row per step: step, seconds, peak_gib, difference (the largest), reference_seconds and
        ratio; and the figures of the heterogeneous protocol in both forms.
    """
    clock = _Clock()
    world = clock("random data (not part of edgecmp)", partial(draw, sizes, seed))
    _read_pairs(world, clock)
    vectors = {
        letter: clock(
            f"templates {letter}",
            partial(
                template_embeddings,
                features,
                world.rows,
                world.media,
                ids=np.arange(sizes.templates),
                scores=world.scores,
            ),
        )
        for letter, features in world.features.items()
    }
    enrolled, probes, lists = vectors["g"], vectors["q"], world.protocols
    pairs = lists.pairs
    scores = clock(
        "pair scores", partial(pair_scores, enrolled, probes, pairs.enrolled, pairs.probes)
    )
    figures = {
        form: clock(
            f"all figures, {form}",
            partial(ijbc_shares, enrolled, probes, lists, nearest=flag, insightface=flag),
        )
        for form, flag in FORMS.items()
    }
    for letter, features in world.features.items():
        found, seconds = _timed(partial(templates_by_loops, world, features))
        difference = float(np.abs(found - vectors[letter]).max())
        clock.compare(f"templates {letter}", difference, seconds)
    plain, gathering = _timed(partial(scores_by_gathering, enrolled, probes, pairs))
    clock.compare("pair scores", float(np.abs(plain - scores).max()), gathering)
    sorted_, sorting = _timed(partial(identified_by_sorting, enrolled, probes, lists))
    for (form, nearest), identified in zip(FORMS.items(), sorted_, strict=True):
        tars, curve = _timed(partial(tars_by_roc_curve, plain, pairs.genuine, nearest=nearest))
        difference = _largest(figures[form], tars | identified)
        clock.compare(f"all figures, {form}", difference, gathering + sorting + curve)
    return clock.rows, figures


def _read_pairs(world: World, clock: _Clock) -> None:
    """Writes the list of pairs in the form of IJB-C's release, and reads it."""
    pairs = world.protocols.pairs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ijbc_template_pair_label.txt"
        with path.open("w") as file:
            for start in range(0, len(pairs.genuine), LINES_AT_ONCE):
                chunk = slice(start, start + LINES_AT_ONCE)
                columns = (pairs.enrolled[chunk], pairs.probes[chunk], pairs.genuine[chunk] * 1)
                rows = zip(*(column.tolist() for column in columns), strict=True)
                file.writelines(f"{one} {other} {label}\n" for one, other, label in rows)
        read = clock("read the list of pairs", lambda: read_pairs(path))
    difference = float(np.abs(read[:, 1] - pairs.probes).max())
    clock.compare("read the list of pairs", difference)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the study and prints the table and the figures; exit code 1 above `LIMIT_GIB`."""
    parser = study_parser(__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the random data (default 0)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    chosen = parser.parse_args(arguments)
    rows, figures = measure(Sizes(), seed=chosen.seed)
    peak = rows[-1]["peak_gib"]
    print_rows(rows)
    shown = [
        {"form": form, **{key: 100 * (share or 0.0) for key, share in found.items()}}
        for form, found in figures.items()
    ]
    print_rows(shown)
    print(f"Peak memory {peak:.2f} GiB, limit {LIMIT_GIB:g} GiB")
    if chosen.json is not None:
        write_study(chosen.json, {"rows": rows, "figures": figures})
    if peak > LIMIT_GIB:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
