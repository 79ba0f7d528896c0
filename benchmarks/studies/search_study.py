"""The common parts of the studies of the search: their arguments, and the format of rewards."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecmp import kit
from edgecmp.artefacts.bundle import SupernetBundle
from edgecmp.search.evaluation.candidate import Evaluator
from edgecmp.search.evaluation.supernet import SupernetEvaluator, open_evaluator
from edgecmp.search.space.constraint import FlopsBudget, parse_budget
from edgecmp.search.space.flops import FlopsTable

__all__ = ["add_search_arguments", "budget_of", "evaluator_of", "with_rewards_in_full"]


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --supernet, --gallery, --data and --budget; the starter kit's are the defaults."""
    parser.add_argument("--supernet", type=Path, default=kit.path("supernet"))
    parser.add_argument("--gallery", type=Path, default=kit.path("gallery"))
    parser.add_argument("--data", default="emoji")
    parser.add_argument("--budget", default="100M")


def evaluator_of(given: argparse.Namespace, *, calibration_seed: int = 0) -> SupernetEvaluator:
    """The evaluator that the arguments name.

    Args:
        given: the parsed arguments.
        calibration_seed: selects the images with which the batch norms are recalibrated.

    Raises:
        UserError: one of them cannot be opened.
    """
    return open_evaluator(
        SupernetBundle.load(given.supernet),
        gallery=given.gallery,
        data=given.data,
        calibration_seed=calibration_seed,
    )


def budget_of(given: argparse.Namespace, evaluator: Evaluator) -> FlopsBudget:
    """The budget that the arguments name, for the networks of an evaluator.

    Raises:
        UserError: it is not a number of FLOPs.
    """
    table = FlopsTable.of(evaluator.tier, embedding_dim=evaluator.embedding_dim)
    return FlopsBudget(table, parse_budget(given.budget))


def with_rewards_in_full(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with rewards and areas to four decimals, since searches differ little."""
    rewards = ("best", "mean_best_5", "best_at_equal_time", "spread", "area")
    return [
        {
            key: f"{value:.4f}" if key in rewards and value is not None else value
            for key, value in row.items()
        }
        for row in rows
    ]
