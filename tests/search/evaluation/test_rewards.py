"""Every registered reward, and the order of candidates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.search.evaluation.candidate import Candidate, Measurement
from edgecmp.search.evaluation.rewards import REWARDS, reward, rewards

SHARES = st.floats(0, 1)


def test_values() -> None:
    assert rewards(0.5, 0.25) == {"r1": 0.5, "r2": 0.25, "r3": 0.125, "r3sum": 0.75}


@pytest.mark.parametrize("name", REWARDS)
@given(mqq=SHARES, mqg=SHARES, more=SHARES)
def test_rewards_increase_with_accuracy(name: str, mqq: float, mqg: float, more: float) -> None:
    assert reward(name)(max(mqq, more), mqg) >= reward(name)(mqq, mqg)
    assert reward(name)(mqq, max(mqg, more)) >= reward(name)(mqq, mqg)


def test_an_unknown_reward_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Did you mean r3\?.*r1, r2, r3, r3sum"):
        reward("R3x")


def candidate(mqq: float, mqg: float, flops: int = 1, index: int = 0) -> Candidate:
    return Candidate(
        generation=1,
        index=index,
        genes=(0,) * 40,
        flops=flops,
        metric="top10",
        measurement=Measurement(mqq={"top10": mqq}, mqg={"top10": mqg}),
    )


def test_ties_are_broken_by_homogeneous_accuracy_then_flops_then_order() -> None:
    best_first = [
        candidate(0.5, 0.5),
        candidate(0.4, 0.0, flops=9),
        candidate(0.2, 0.0, flops=3),
        candidate(0.2, 0.0, flops=4, index=1),
        candidate(0.2, 0.0, flops=4, index=2),
    ]
    shuffled = [best_first[position] for position in (3, 0, 4, 2, 1)]
    assert sorted(shuffled, key=lambda one: one.order("r3")) == best_first
