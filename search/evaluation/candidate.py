"""Candidate: one evaluated architecture, as the history records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgecmp.networks.architecture import Architecture
from edgecmp.networks.tiers import DEPTH
from edgecmp.search.evaluation.rewards import reward, rewards

__all__ = ["Candidate", "Evaluator", "Measurement", "architecture_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What an evaluator measures: accuracies 0..1 by metric name ("top10", "tar").

    Attributes:
        mqq: homogeneous accuracies M(q,q).
        mqg: heterogeneous accuracies M(q,g).
    """

    mqq: Mapping[str, float]
    mqg: Mapping[str, float]


class Evaluator(Protocol):
    """Measures architectures; the same architecture always has the same numbers, bit for bit."""

    tier: str
    embedding_dim: int
    input_size: int
    metrics: tuple[str, ...]

    def evaluate(self, architecture: Architecture) -> Measurement:
        """Both accuracies of one architecture, by every metric."""

    def to_dict(self) -> dict[str, Any]:
        """What determines its numbers (hashes of weights and data, sizes), for the history."""


def architecture_of(
    genes: Sequence[int], evaluator: Evaluator, input_size: int | None = None
) -> Architecture:
    """The architecture that genes encode in the evaluator's space.

    Args:
        genes: 20 blocks and 20 widths; further genes are ignored.
        evaluator: defines tier and embedding size, and the input size unless it is given.
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
        generation: from 1, the random initial one.
        index: from 0, the position among the candidates of that generation.
        genes: 20 blocks, then 20 widths; where the input size is a gene, its index is the 41st.
        flops: those that the budget bounds: as fvcore counts at 224 x 224, or scaled to the input
            size where that is a gene.
        metric: the metric that the rewards are computed from.
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

    def architecture(self, evaluator: Evaluator) -> Architecture:
        """The architecture that was evaluated."""
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
        """Sort key, best first: by reward, then M(q,q), fewer FLOPs, and order of evaluation."""
        return (-self.reward(name), -self.mqq, self.flops, self.generation, self.index)

    def to_dict(self) -> dict[str, Any]:
        """The history's line; the rewards are redundant and written for readers."""
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
            line: of the history.
            metric: that the rewards of the search are computed from.
            sizes: the input sizes offered, where the size is a gene.

        Raises:
            KeyError, TypeError, ValueError: it is not such a line.
        """
        mqq = {str(name): float(value) for name, value in line["mqq"].items()}
        mqg = {str(name): float(value) for name, value in line["mqg"].items()}
        size = line["input_size"] if sizes else None
        size_gene = () if size is None else (sizes.index(size),)
        candidate = cls(
            generation=int(line["generation"]),
            index=int(line["index"]),
            genes=(*(int(gene) for gene in (*line["blocks"], *line["widths"])), *size_gene),
            flops=int(line["flops"]),
            metric=metric,
            measurement=Measurement(mqq=mqq, mqg=mqg),
            input_size=size,
        )
        if candidate.to_dict() != line:
            raise ValueError("its fields contradict each other")
        return candidate
