"""A candidate: one evaluated architecture, as the history keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecmp.architecture import DEPTH, Architecture
from edgecmp.search.rewards import reward, rewards

__all__ = ["Candidate", "Evaluator", "Measurement", "architecture_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What an evaluator finds: shares 0..1 by metric name ("top10", "tar@1e-3")."""

    mqq: Mapping[str, float]
    mqg: Mapping[str, float]


class Evaluator(Protocol):
    """Measures architectures; the same architecture always gives the same numbers, bit for bit."""

    tier: str
    embedding_dim: int
    input_size: int
    metrics: tuple[str, ...]

    def evaluate(self, architecture: Architecture) -> Measurement:
        """Both accuracies of one architecture, by every metric."""

    def to_dict(self) -> dict[str, Any]:
        """All that decides its numbers (hashes of weights and data, sizes), for the history."""


def architecture_of(genes: Sequence[int], evaluator: Evaluator) -> Architecture:
    """The architecture that 40 genes stand for in the evaluator's space."""
    return Architecture(
        tier=evaluator.tier,
        blocks=tuple(genes[:DEPTH]),
        widths=tuple(genes[DEPTH:]),
        embedding_dim=evaluator.embedding_dim,
        input_size=evaluator.input_size,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One line of the history.

    Attributes:
        generation: from 1, the random start.
        index: from 0, the position among the candidates evaluated in that generation.
        genes: the 40 genes, 20 blocks and then 20 widths.
        flops: as fvcore counts at 224 x 224.
        metric: the metric that the rewards are made of.
        measurement: accuracies by every metric.
    """

    generation: int
    index: int
    genes: tuple[int, ...]
    flops: int
    metric: str
    measurement: Measurement

    @property
    def rows(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Blocks and widths, (1, 20) each, as tables take them."""
        genes = np.array([self.genes], np.uint8)
        return genes[:, :DEPTH], genes[:, DEPTH:]

    @property
    def mqq(self) -> float:
        """Homogeneous accuracy by the reward's metric, 0..1."""
        return self.measurement.mqq[self.metric]

    @property
    def mqg(self) -> float:
        """Heterogeneous accuracy by the reward's metric, 0..1."""
        return self.measurement.mqg[self.metric]

    def reward(self, name: str) -> float:
        """The reward of that name."""
        return reward(name)(self.mqq, self.mqg)

    def order(self, name: str) -> tuple[float, float, int, int, int]:
        """Sort key, best first: reward, then M(q,q), then fewer FLOPs, then found earlier."""
        return (-self.reward(name), -self.mqq, self.flops, self.generation, self.index)

    def to_dict(self) -> dict[str, Any]:
        """The history's line; the rewards are there for readers and follow from the rest."""
        return {
            "generation": self.generation,
            "index": self.index,
            "blocks": list(self.genes[:DEPTH]),
            "widths": list(self.genes[DEPTH:]),
            "flops": self.flops,
            "mqq": dict(self.measurement.mqq),
            "mqg": dict(self.measurement.mqg),
            "rewards": rewards(self.mqq, self.mqg),
        }

    @classmethod
    def from_dict(cls, line: Mapping[str, Any], metric: str) -> Candidate:
        """Reads what `to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is not such a line.
        """
        mqq = {str(name): float(value) for name, value in line["mqq"].items()}
        mqg = {str(name): float(value) for name, value in line["mqg"].items()}
        candidate = cls(
            generation=int(line["generation"]),
            index=int(line["index"]),
            genes=tuple(int(gene) for gene in (*line["blocks"], *line["widths"])),
            flops=int(line["flops"]),
            metric=metric,
            measurement=Measurement(mqq=mqq, mqg=mqg),
        )
        if candidate.to_dict() != line:
            raise ValueError("its fields do not agree with each other")
        return candidate
