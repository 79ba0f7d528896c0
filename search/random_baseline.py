"""Random architectures of a budget by the same evaluator: what a search has to beat."""

from __future__ import annotations

import numpy as np

from edgecmp.progress import progress
from edgecmp.search.candidate import Candidate, Evaluator, architecture_of
from edgecmp.search.constraint import Constraint

__all__ = ["evaluate_random"]


def evaluate_random(
    evaluator: Evaluator, budget: Constraint, *, count: int, metric: str, seed: int
) -> list[Candidate]:
    """Evaluates `count` uniform samples under a budget, in the order drawn."""
    # A stream of its own: seed s of a search starts from other architectures.
    blocks, widths = budget.sample(np.random.default_rng((seed, 0)), count)
    flops = budget.table.counts(blocks, widths)
    candidates = []
    with progress("Evaluating at random", total=count, unit="architecture") as bar:
        for index, row in enumerate(np.hstack((blocks, widths)).tolist()):
            candidates.append(
                Candidate(
                    generation=1,
                    index=index,
                    genes=tuple(row),
                    flops=int(flops[index]),
                    metric=metric,
                    measurement=evaluator.evaluate(architecture_of(row, evaluator)),
                )
            )
            bar.advance()
    return candidates
