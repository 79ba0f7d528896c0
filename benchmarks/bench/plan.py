"""How a bench measures each row: a number of runs, continuous load, or MLPerf's single stream."""

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
"""The main figure of each mode."""

LEAST_QUERIES, LEAST_SECONDS = 1024, 60.0
"""Fewest queries and shortest time of MLPerf's single stream."""

WINDOWS = 60
LEAST_WINDOW_S = 2.0
"""Number of points of a curve; fewer if a window would be shorter than `LEAST_WINDOW_S`."""

VISITS = 10
LEAST_VISIT_S, MOST_VISIT_S = 10.0, 60.0
"""Number of visits of a sustained row, and the limits of their length: a broken connection loses
only one visit, and reloading the model between two visits takes a small part of the time.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchPlan:
    """How each row is measured.

    Attributes:
        mode: "warm": `runs` runs in `rounds` visits, which alternate between all rows; "sustained":
            `minutes` of continuous load, one row after the other; "single-stream": one visit of at
            least `LEAST_QUERIES` queries and `LEAST_SECONDS`.
        runs: timed runs per row in mode "warm".
        rounds: visits per row in mode "warm", each in a new process.
        minutes: duration of a row in mode "sustained"; 0 in the others.
        seed: of the random input.
        input_size: height and width of the images; None: what the files state.

    Raises:
        UserError: there is no round, or there are fewer runs than rounds.
    """

    mode: Mode = "warm"
    runs: int = 200
    rounds: int = 4
    minutes: float = 0.0
    seed: int = 0
    input_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"A bench needs at least 1 round (got {self.rounds}).", "Use 4 rounds.")
        if self.runs < self.rounds:
            raise UserError(
                f"{self.rounds} rounds need at least {self.rounds} runs (got {self.runs}).",
                "Use more runs, such as 200.",
            )

    @classmethod
    def of(
        cls,
        *,
        sustained: float | None = None,
        single_stream: bool = False,
        **settings: Any,
    ) -> BenchPlan:
        """The plan for the values of `--sustained` and `--single-stream`.

        Raises:
            UserError: both are given, or the minutes are not positive and at most a day.
        """
        if sustained is not None and single_stream:
            raise UserError(
                "--sustained and --single-stream cannot be combined.",
                "Run one after the other, each with its own --json file.",
            )
        if sustained is None:
            return cls(mode="single-stream" if single_stream else "warm", **settings)
        if not 0 < sustained <= 24 * 60:
            raise UserError(
                f"--sustained must be between 0 and {24 * 60} minutes (got {sustained:g}).",
                "Use the time after which your device has warmed up, such as --sustained 10.",
            )
        return cls(mode="sustained", minutes=sustained, **settings)

    @property
    def window_s(self) -> float:
        """Length in seconds of one window, which is one point of the curve."""
        return max(LEAST_WINDOW_S, 60 * self.minutes / WINDOWS)

    @property
    def visit_s(self) -> float:
        """Length in seconds of one visit in mode "sustained"."""
        return min(MOST_VISIT_S, max(LEAST_VISIT_S, 60 * self.minutes / VISITS), 60 * self.minutes)

    def to_dict(self) -> dict[str, Any]:
        """The settings of the report."""
        size = None if self.input_size is None else list(self.input_size)
        return asdict(self) | {"input_size": size}
