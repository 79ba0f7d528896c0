"""The common parts of checks on many random networks: the networks, the loop, the verdict.

Each network has random blocks and widths, random weights, and the batch-norm statistics of
structured images; tiers and input sizes alternate. It is determined by its number and the seed, so
that `--networks 1 --first n` repeats a failure of network n.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor

from edgecmp.files import provenance, write_json
from edgecmp.networks.architecture import Architecture
from edgecmp.networks.query import QueryNet
from edgecmp.networks.random_weights import patch_images, random_network
from edgecmp.networks.tiers import TIERS
from edgecmp.progress import progress, say

__all__ = ["SIZES", "Result", "check_networks", "conclude", "numbered_network", "parse_arguments"]

SIZES = (64, 65, 96)
"""Input sizes in pixels: strides are applied to even sizes (64), to odd ones (65) or both (96)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result(ABC):
    """The result of one network.

    Attributes:
        number: number of the network.
        tier: tier of the network.
        input_size: input size in pixels.
    """

    number: int
    tier: str
    input_size: int

    @property
    @abstractmethod
    def failures(self) -> list[str]:
        """One line per limit that is not met."""


AnyResult = TypeVar("AnyResult", bound=Result)


def numbered_network(number: int, seed: int) -> tuple[Architecture, QueryNet, Tensor]:
    """Network `number`: its architecture, the network in evaluation mode, and two images.

    The images are normalised, (2, 3, S, S).
    """
    tiers, own_seed = list(TIERS), seed * 1_000_003 + number
    architecture = Architecture.random(
        tiers[number % len(tiers)],
        seed=own_seed,
        input_size=SIZES[number // len(tiers) % len(SIZES)],
    )
    images = patch_images(2, architecture.input_size, own_seed + 2)
    return architecture, random_network(architecture, own_seed), images


def parse_arguments(
    text: str | None, *, networks: int, json_help: str, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """The arguments of a check: networks, first, seed, workers, json.

    Args:
        text: text of --help.
        networks: default number of networks.
        json_help: help of --json.
        arguments: arguments of the command line; those of this process if None.
    """
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--networks", type=int, default=networks, help=f"number of networks (default {networks})"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the networks (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", type=Path, help=json_help)
    given = parser.parse_args(arguments)
    if given.networks < 1 or given.workers < 1 or given.first < 0:
        parser.error("--networks and --workers must be at least 1, --first at least 0")
    return given


def check_networks(check: Callable[..., AnyResult], given: argparse.Namespace) -> list[AnyResult]:
    """The results of `check(number, seed=seed)` in the order of the numbers.

    Each network is checked by one of --workers processes with one thread. Failures are printed as
    they occur.
    """
    numbers = range(given.first, given.first + given.networks)
    results: list[AnyResult] = []
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(given.workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        progress("Checking", total=len(numbers), unit="network") as bar,
    ):
        for result in pool.imap_unordered(partial(check, seed=given.seed), numbers):
            results.append(result)
            for line in result.failures:
                say(line)
            bar.advance(1)
    return sorted(results, key=lambda result: result.number)


def conclude(
    results: Sequence[Result],
    given: argparse.Namespace,
    *,
    summary: str,
    limits: Mapping[str, Any],
) -> NoReturn:
    """Prints the verdict, writes --json and exits: with code 1 if a network failed, else with 0.

    Args:
        results: the results of all networks.
        given: the arguments, as `parse_arguments` returns them.
        summary: summary of the check, for the line of the verdict.
        limits: the limits, by their names in the JSON.
    """
    failures = [result.failures for result in results if result.failures]
    print(
        f"{'FAILED' if failures else 'passed'}: {len(results)} networks, {summary}, "
        f"{len(failures)} failures"
    )
    if given.json is not None:
        document = {
            "rows": [asdict(result) for result in results],
            **limits,
            "failures": [line for lines in failures for line in lines],
            "settings": {key: value for key, value in vars(given).items() if key != "json"},
            "provenance": provenance(),
        }
        say(f"Wrote {write_json(given.json, document)}.")
    sys.exit(1 if failures else 0)
