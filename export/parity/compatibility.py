"""The compatibility rule M(q,g) > M(q,q), as a gate that chance does not open or shut."""

from __future__ import annotations

from dataclasses import dataclass

from edgecmp.export.parity.retrieval import Finds
from edgecmp.metrics.bootstrap import Redraws, interval

__all__ = ["Rule", "check_rule"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Queries of one network in the server's gallery, against a gallery of its own (supplement B).

    Attributes:
        mqg_top10, mqq_top10: accuracies in percent.
        low, high: 95 % bootstrap interval of their difference, in points (queries redrawn).
    """

    mqg_top10: float
    mqq_top10: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """ "holds"; "level": no difference that these queries could tell; or "broken"."""
        if self.high < 0:
            return "broken"
        return "holds" if self.low > 0 else "level"


def check_rule(heterogeneous: Finds, homogeneous: Finds, weights: Redraws) -> Rule:
    """The rule for one network: its finds in the server's gallery and in one that it embedded."""
    mine, theirs = heterogeneous.hits.any(1), homogeneous.hits.any(1)
    low, high = interval(weights, 100 * (mine.astype(int) - theirs))
    return Rule(mqg_top10=heterogeneous.top10, mqq_top10=homogeneous.top10, low=low, high=high)
