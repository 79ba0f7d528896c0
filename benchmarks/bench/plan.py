"""How a bench measures each row: a number of runs, for minutes on end, or as MLPerf does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgecmp.errors import UserError

__all__ = ["FIGURE", "LEAST_QUERIES", "LEAST_SECONDS", "BenchPlan", "Mode"]

Mode = Literal["warm", "sustained", "single-stream"]

FIGURE: dict[Mode, str] = {
    "warm": "p50_ms",
    "sustained": "last_window_ms",
    "single-stream": "p90_ms",
}
"""The one figure that each mode is about."""

LEAST_QUERIES, LEAST_SECONDS = 1024, 60.0
"""MLPerf's single stream has at least so many queries and lasts at least so long."""

WINDOWS = 60
LEAST_WINDOW_S = 2.0
"""A curve has this many points, unless its windows would be shorter."""

VISITS = 10
LEAST_VISIT_S, MOST_VISIT_S = 10.0, 60.0
"""A sustained row is measured in this many visits, within these lengths: what is lost with a
broken connection is one visit, and the load of the model between two is a small part of the time.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchPlan:
    """What is asked of each row.

    Attributes:
        mode: "warm": `runs` runs in `rounds` visits that go round over all rows; "sustained": for
            `minutes`, row after row; "single-stream": at least `LEAST_QUERIES` queries and
            `LEAST_SECONDS` in one visit.
        runs: timed runs of each row in mode "warm".
        rounds: visits of each row in mode "warm", each in a fresh process.
        minutes: length of a row in mode "sustained"; 0 in the others.
        seed: of the random input.

    Raises:
        UserError: there are fewer runs than rounds.
    """

    mode: Mode = "warm"
    runs: int = 200
    rounds: int = 4
    minutes: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.runs < self.rounds:
            raise UserError(
                f"A bench of {self.rounds} rounds needs at least one run in each, "
                f"not {self.runs} in all.",
                "Ask for more runs, such as 200 in 4 rounds.",
            )

    @classmethod
    def of(
        cls,
        *,
        sustained: float | None = None,
        single_stream: bool = False,
        **settings: int,
    ) -> BenchPlan:
        """The plan that two options ask for.

        Raises:
            UserError: they ask for both long modes, or for no time at all.
        """
        if sustained is not None and single_stream:
            raise UserError(
                "--sustained and --single-stream are two different measurements.",
                "Run one after the other, each into its own --json file.",
            )
        if sustained is None:
            return cls(mode="single-stream" if single_stream else "warm", **settings)
        if not 0 < sustained <= 24 * 60:
            raise UserError(
                f"--sustained {sustained:g} is no number of minutes up to a day.",
                "Ask for the time after which your device has warmed up: --sustained 10.",
            )
        return cls(mode="sustained", minutes=sustained, **settings)

    @property
    def window_s(self) -> float:
        """Seconds of one point of the curve."""
        return max(LEAST_WINDOW_S, 60 * self.minutes / WINDOWS)

    @property
    def visit_s(self) -> float:
        """Seconds of one visit in mode "sustained"."""
        return min(MOST_VISIT_S, max(LEAST_VISIT_S, 60 * self.minutes / VISITS), 60 * self.minutes)

    def to_dict(self) -> dict[str, Any]:
        """As the report's settings hold it."""
        return asdict(self)
