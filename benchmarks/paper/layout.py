"""Tables on the screen and as CSV, with published and measured figures side by side."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecmp.benchmarks.paper.table import Group
from edgecmp.files import write_atomic

__all__ = ["lines", "write_csv"]

SHORT = {"homogeneous": "q,q", "heterogeneous": "q,g"}


def lines(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """One line per system: each metric as "published | ours", and whether M(q,g) > M(q,q)."""
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        line = found.setdefault(group.system, {"system": group.system})
        if "published_mflops" in group.facts:
            line["mflops"] = f"{_figure(group.facts['published_mflops'], 0)} | " + _figure(
                group.facts.get("mflops"), 0
            )
        elif group.facts.get("mflops") is not None:
            line["mflops"] = _figure(group.facts["mflops"], 0)
        if group.facts.get("params_m") is not None:
            line["params"] = f"{group.facts['params_m']:.2f} M"
        both = len({g.group for g in groups}) > 1
        for name in dict.fromkeys([*group.published, *group.ours]):
            column = f"{SHORT[group.group]} {name}" if both else name
            line[column] = _cell(group, name)
        line["state"] = group.state
    by = {(group.system, group.group): group for group in groups}
    for system, line in found.items():
        rule = _rule(by.get((system, "homogeneous")), by.get((system, "heterogeneous")))
        if rule is not None:
            line["q,g > q,q"] = rule
    cells = (column for line in found.values() for column in line if column != "state")
    order = dict.fromkeys(("system", "mflops", "params", *cells, "state"))
    return [{name: line[name] for name in order if name in line} for line in found.values()]


def _cell(group: Group, name: str) -> str:
    ours = _figure(group.ours.get(name), 1)
    if name in group.spread:
        ours += f" ({group.spread[name]:.1f})"
    return f"{_figure(group.published.get(name), 1)} | {ours}"


def _figure(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def _rule(own: Group | None, against: Group | None) -> str | None:
    """The metrics for which the compatibility rule M(q,g) > M(q,q) is satisfied."""
    if own is None or against is None or not own.ours or not against.ours:
        return None
    satisfied = [name for name in own.ours if against.ours[name] > own.ours[name]]
    if len(satisfied) == len(own.ours):
        return "yes"
    return f"only {', '.join(satisfied)}" if satisfied else "no"


def write_csv(groups: Sequence[Group], path: Path) -> Path:
    """Writes one row per system, group and metric: published, ours, spread."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("table", "system", "group", "metric", "published", "ours", "spread", "runs", "mflops")
    )
    for group in groups:
        for name in dict.fromkeys([*group.published, *group.ours]):
            writer.writerow(
                (
                    group.table,
                    group.system,
                    group.group,
                    name,
                    group.published.get(name),
                    group.ours.get(name),
                    group.spread.get(name),
                    group.runs,
                    group.facts.get("mflops"),
                )
            )
    return write_atomic(path, text.getvalue().encode())
