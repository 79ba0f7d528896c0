"""Rewards: the objective of a search, computed from a candidate's two measured accuracies.

M(q,q) is the homogeneous accuracy (candidate on both sides), M(q,g) the heterogeneous one (queries
by the candidate, gallery by the gallery model), both 0..1. Every reward is logged for every
candidate, so that a finished search can be ranked by another reward without evaluating again.
"""

from __future__ import annotations

from collections.abc import Callable

from edgecmp.errors import unknown_choice

__all__ = ["REWARDS", "Reward", "register_reward", "reward", "rewards"]

Reward = Callable[[float, float], float]
"""Maps (M(q,q), M(q,g)) to a number to be maximised."""

REWARDS: dict[str, Reward] = {}


def register_reward(name: str) -> Callable[[Reward], Reward]:
    """Registers a reward, which is then logged for every candidate."""

    def register(function: Reward) -> Reward:
        REWARDS[name] = function
        return function

    return register


def reward(name: str) -> Reward:
    """The reward of that name.

    Raises:
        UserError: there is no such reward; the message lists them.
    """
    if name not in REWARDS:
        raise unknown_choice("reward", name, REWARDS)
    return REWARDS[name]


def rewards(mqq: float, mqg: float) -> dict[str, float]:
    """Every registered reward of one candidate."""
    return {name: function(mqq, mqg) for name, function in REWARDS.items()}


@register_reward("r1")
def r1(mqq: float, mqg: float) -> float:
    """R1 = M(q,q): ordinary architecture search, which ignores the gallery model."""
    return mqq


@register_reward("r2")
def r2(mqq: float, mqg: float) -> float:
    """R2 = M(q,g): compatibility alone."""
    return mqg


@register_reward("r3")
def r3(mqq: float, mqg: float) -> float:
    """R3 = M(q,q) x M(q,g): the paper's choice."""
    return mqq * mqg


@register_reward("r3sum")
def r3sum(mqq: float, mqg: float) -> float:
    """R3 as a sum, M(q,q) + M(q,g): not zero when only one of the two is."""
    return mqq + mqg
