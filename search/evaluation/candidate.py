"""A candidate: one evaluated architecture, as the history keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import DEPTH
from edgecmp.search.evaluation.rewards import reward, rewards

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


def architecture_of(
    genes: Sequence[int], evaluator: Evaluator, input_size: int | None = None
) -> Architecture:
    """The architecture that genes stand for in the evaluator's space.

    Args:
        genes: 20 blocks and 20 widths; what follows is not read.
        evaluator: gives tier, embedding and, unless it is given, the input size.
        input_size: in pixels, where it is a gene.
    """
    return Architecture(
        tier=evaluator.tier,
        blocks=tuple(genes[:DEPTH]),
        widths=tuple(genes[DEPTH : 2 * DEPTH]),
        embedding_dim=evaluator.embedding_dim,
        input_size=input_size or evaluator.input_size,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One line of the history.

    Attributes:
        generation: from 1, the random start.
        index: from 0, the position among the candidates evaluated in that generation.
        genes: 20 blocks, then 20 widths; with an input size its position as the 41st.
        flops: those that the budget bounds: as fvcore counts at 224 x 224, or in proportion to the
            input size where that is a gene.
        metric: the metric that the rewards are made of.
        measurement: accuracies by every metric.
        input_size: in pixels, where it is a gene.
    """

    generation: int
    index: int
    genes: tuple[int, ...]
    flops: int
    metric: str
    measurement: Measurement
    input_size: int | None = None

    @property
    def rows(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Blocks and widths, (1, 20) each, as tables take them."""
        genes = np.array([self.genes], np.uint8)
        return genes[:, :DEPTH], genes[:, DEPTH : 2 * DEPTH]

    def architecture(self, evaluator: Evaluator) -> Architecture:
        """What was evaluated."""
        return architecture_of(self.genes, evaluator, self.input_size)

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
            "widths": list(self.genes[DEPTH : 2 * DEPTH]),
            **({} if self.input_size is None else {"input_size": self.input_size}),
            "flops": self.flops,
            "mqq": dict(self.measurement.mqq),
            "mqg": dict(self.measurement.mqg),
            "rewards": rewards(self.mqq, self.mqg),
        }

    @classmethod
    def from_dict(
        cls, line: Mapping[str, Any], metric: str, sizes: Sequence[int] = ()
    ) -> Candidate:
        """Reads what `to_dict` wrote.

        Args:
            line: the history's.
            metric: that the search's rewards are made of.
            sizes: the input sizes offered, where that is a gene.

        Raises:
            KeyError, TypeError, ValueError: it is not such a line.
        """
        mqq = {str(name): float(value) for name, value in line["mqq"].items()}
        mqg = {str(name): float(value) for name, value in line["mqg"].items()}
        size = line["input_size"] if sizes else None
        place = () if size is None else (sizes.index(size),)
        candidate = cls(
            generation=int(line["generation"]),
            index=int(line["index"]),
            genes=(*(int(gene) for gene in (*line["blocks"], *line["widths"])), *place),
            flops=int(line["flops"]),
            metric=metric,
            measurement=Measurement(mqq=mqq, mqg=mqg),
            input_size=size,
        )
        if candidate.to_dict() != line:
            raise ValueError("its fields do not agree with each other")
        return candidate
