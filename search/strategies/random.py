"""Random search: uniform samples under a budget, the baseline of every strategy."""

from __future__ import annotations

import numpy as np

from edgecmp.progress import progress
from edgecmp.search.evaluation.candidate import Candidate, Evaluator, architecture_of
from edgecmp.search.space.constraint import Constraint
from edgecmp.search.space.space import Space

__all__ = ["evaluate_random"]


def evaluate_random(
    evaluator: Evaluator, budget: Constraint | Space, *, count: int, metric: str, seed: int
) -> list[Candidate]:
    """Evaluates `count` uniform samples under a budget, in the order of sampling."""
    # Another random stream than a search's, which starts from other architectures with this seed.
    space = Space.of(budget)
    rows = space.sample(np.random.default_rng((seed, 0)), count)
    flops = space.flops(rows)
    candidates = []
    with progress("Evaluating random architectures", total=count, unit="architecture") as bar:
        for index, row in enumerate(rows.tolist()):
            size = space.input_size(row)
            candidates.append(
                Candidate(
                    generation=1,
                    index=index,
                    genes=tuple(row),
                    flops=int(flops[index]),
                    metric=metric,
                    measurement=evaluator.evaluate(architecture_of(row, evaluator, size)),
                    input_size=size,
                )
            )
            bar.advance()
    return candidates
