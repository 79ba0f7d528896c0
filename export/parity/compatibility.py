"""The compatibility rule M(q,g) > M(q,q), decided only where the queries are sufficient."""

from __future__ import annotations

from dataclasses import dataclass

from edgecmp.export.parity.retrieval import RetrievalResult
from edgecmp.metrics.bootstrap import Resamples, interval

__all__ = ["Rule", "check_rule", "rule_faults"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Queries of one network in the server's gallery and in a gallery of its own (supplement B).

    Attributes:
        mqg_top10, mqq_top10: accuracies in percent.
        low, high: 95 % bootstrap interval of their difference, in points (queries resampled).
    """

    mqg_top10: float
    mqq_top10: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """ "holds", "broken", or "level": the interval of the difference includes zero."""
        if self.high < 0:
            return "broken"
        return "holds" if self.low > 0 else "level"


def check_rule(
    heterogeneous: RetrievalResult, homogeneous: RetrievalResult, weights: Resamples
) -> Rule:
    """The rule for one network.

    Args:
        heterogeneous: its queries in the server's gallery.
        homogeneous: its queries in a gallery that it embedded itself.
        weights: of the bootstrap.
    """
    mqg_hits, mqq_hits = heterogeneous.hits.any(1), homogeneous.hits.any(1)
    low, high = interval(weights, 100 * (mqg_hits.astype(int) - mqq_hits))
    return Rule(mqg_top10=heterogeneous.top10, mqq_top10=homogeneous.top10, low=low, high=high)


def rule_faults(rule: Rule, trained: Rule) -> list[str]:
    """That a stage or a file breaks the rule, as a clause; empty if it does not.

    It breaks only what certainly held before: of a trained network that broke the rule already, or
    that is level, a small change may have either verdict.

    Args:
        rule: of the stage or the file.
        trained: of the trained network.
    """
    if rule.verdict != "broken" or trained.verdict != "holds":
        return []
    return [
        f"the compatibility rule is broken: M(q,g) {rule.mqg_top10:.2f} < M(q,q) "
        f"{rule.mqq_top10:.2f} at top-10 (difference {rule.low:+.2f} to {rule.high:+.2f})"
    ]
