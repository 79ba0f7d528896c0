"""A bench compared with an earlier one: the ratio of each row, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.bench.case import Case
from edgecmp.benchmarks.bench.document import read_bench
from edgecmp.benchmarks.bench.plan import FIGURE, BenchPlan
from edgecmp.benchmarks.bench.report import identity
from edgecmp.benchmarks.bench.statistic import CPU_TIME, NOT_PREEMPTED
from edgecmp.errors import UserError

__all__ = ["Earlier"]

UNDISTURBED = (NOT_PREEMPTED, CPU_TIME)
"""Statistics that other processes do not affect, and that are therefore comparable."""

SETTINGS = ("mode", "minutes", "input_size")
"""Settings that must be equal in both benches."""

Key = tuple[str, str, int | None]
"""File name, runtime and threads of a row."""

Pair = tuple[Any, Any]
"""One condition of the earlier bench and of the new one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """An earlier bench that rows are compared with.

    Attributes:
        path: its file.
        rows: the rows that were measured.
        device: name and facts of its device.
        settings: its plan.
    """

    path: Path
    rows: list[dict[str, Any]]
    device: dict[str, Any]
    settings: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Earlier:
        """Reads what `edgecmp bench --json` wrote.

        Raises:
            UserError: the file is missing, is no bench, is incomplete or contains no measurement.
        """
        document = read_bench(path)
        if not document["complete"]:
            command = document["provenance"]["command"]
            raise UserError(
                f"The bench in {path} was interrupted.", f"Finish it first with: {command}"
            )
        rows = [row for row in document["rows"] if row["verdict"] == "measured"]
        if not rows:
            raise UserError(f"{path} contains no measured row.", "Name another bench.")
        return cls(path=path, rows=rows, device=document["device"], settings=document["settings"])

    def refuse_other_conditions(
        self, cases: Sequence[Case], device: dict[str, Any], plan: BenchPlan
    ) -> None:
        """Refuses, before anything is measured, benches that cannot be compared.

        Raises:
            UserError: device, governor, mode, versions, runtimes, threads or files differ; the
                message names what does.
        """
        active = [case for case in cases if case.verdict == "measured"]
        conditions = {
            **self._setting(device, plan),
            **self._versions(active, device),
            **self._disjoint(active),
        }
        differ = [
            f"{name} {then} then, {now} now"
            for name, (then, now) in conditions.items()
            if then != now
        ]
        if differ:
            raise UserError(
                f"{self.path} was measured under different conditions: {'; '.join(differ)}.",
                "Measure both again under the same conditions, or leave out --compare.",
            )

    def _setting(self, device: dict[str, Any], plan: BenchPlan) -> dict[str, Pair]:
        """Then and now: the device, the mode and the governor."""
        then, now = identity(self.device), identity(device)
        settings = plan.to_dict()
        return {
            **{name: (then[name], now[name]) for name in then},
            **{name: (self.settings[name], settings[name]) for name in SETTINGS},
            "governor": (self.device.get("governor"), device.get("governor")),
        }

    def _versions(self, active: Sequence[Case], device: dict[str, Any]) -> dict[str, Pair]:
        """Then and now: the versions of the runtimes that both benches used."""
        versions = {row["runtime"]: row["version"] for row in self.rows}
        return {
            f"version of {runtime}": (versions[runtime], device["runtimes"][runtime]["version"])
            for runtime in sorted({case.runtime for case in active} & versions.keys())
        }

    def _disjoint(self, active: Sequence[Case]) -> dict[str, Pair]:
        """Then and now: the files, runtimes or thread counts that the two benches do not share."""
        keys, known = self._aligned([case.key for case in active])
        if known.keys() & set(keys):
            return {}
        columns = {
            name: ({key[place] for key in known}, {key[place] for key in keys})
            for place, name in enumerate(("file", "runtime", "threads"))
        }
        return {
            name: (_listed(then), _listed(now))
            for name, (then, now) in columns.items()
            if not then & now
        }

    def compare(self, rows: Sequence[dict[str, Any]], plan: BenchPlan) -> list[dict[str, Any]]:
        """The rows with earlier_ms, ratio (now / then) and not_compared (why there is no ratio)."""
        keys, known = self._aligned([(row["file"], row["runtime"], row["threads"]) for row in rows])
        figure, compared = FIGURE[plan.mode], []
        for row, key in zip(rows, keys, strict=True):
            reason, earlier = "", known.get(key)
            if row["verdict"] != "measured" or earlier is None or earlier.get(figure) is None:
                reason = "not measured in both benches"
            elif earlier["input_shape"] != row["input_shape"]:
                reason = f"input {earlier['input_shape']} then, {row['input_shape']} now"
            elif earlier["governor"] != row["governor"]:
                reason = f"governor {earlier['governor']} then, {row['governor']} now"
            elif _kind(earlier) != _kind(row):
                reason = f"{earlier['statistic']} then, {row['statistic']} now"
            own = {"earlier_ms": None, "ratio": None, "not_compared": reason}
            if earlier is not None and not reason:
                own |= {"earlier_ms": earlier[figure], "ratio": row[figure] / earlier[figure]}
            compared.append(row | own)
        return compared

    def _aligned(self, triples: Iterable[Key]) -> tuple[list[Key], dict[Key, dict[str, Any]]]:
        """Keys of the new rows, and the earlier rows by their keys.

        Files are matched by their names without folders. If each bench has a single file, the two
        are matched whatever their names, so that two files can be compared.
        """
        new = [(Path(file).name, runtime, threads) for file, runtime, threads in triples]
        old = [(Path(row["file"]).name, row["runtime"], row["threads"]) for row in self.rows]
        if len({key[0] for key in new}) == len({key[0] for key in old}) == 1:
            new, old = ([("", *key[1:]) for key in keys] for keys in (new, old))
        return new, dict(zip(old, self.rows, strict=True))


def _kind(row: dict[str, Any]) -> str:
    """The row's statistic; comparable ones have the same name."""
    return "undisturbed" if row["statistic"] in UNDISTURBED else str(row["statistic"])


def _listed(values: Iterable[object]) -> str:
    return " and ".join(sorted(map(str, values)))
