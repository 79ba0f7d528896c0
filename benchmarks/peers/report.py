"""What `edgecmp.benchmarks.peers.run` makes of its samples: figures, tables and a picture."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edgecmp.files import write_atomic

__all__ = [
    "conversion_table",
    "counted",
    "cpu_p50_ms",
    "cpu_ratio",
    "draw",
    "gflops_per_s",
    "latency_table",
    "p50_ms",
    "preempted",
    "rate_table",
    "ratio",
    "summary",
    "summary_table",
]

Visit = Mapping[str, Sequence[float]]
"""wall_us, cpu_us and involuntary_switches of the runs of one visit."""

Row = dict[str, Any]
MINIMUM_CLEAN_SHARE = 0.2
BUSY_SHARE = 0.3
"""Share of preempted runs beyond which a row says more about the machine than about the file."""

GROUPS = ("all", "with 7x7", "without 7x7")


def counted(visit: Visit) -> list[float]:
    """Microseconds of the runs that were not preempted; of all where hardly one was not."""
    wall, switches = visit["wall_us"], visit["involuntary_switches"]
    clean = [time for time, switch in zip(wall, switches, strict=True) if switch == 0]
    return clean if len(clean) >= max(1, MINIMUM_CLEAN_SHARE * len(wall)) else list(wall)


def p50_ms(visits: Iterable[Visit]) -> float:
    """Median over the counted runs of all visits, in milliseconds."""
    return median([time for visit in visits for time in counted(visit)]) / 1000


def ratio(visits: Sequence[Visit], reference: Sequence[Visit]) -> float:
    """How many times longer than the reference: the median over the rounds, each for itself.

    What slows a whole round, other load or heat, slows both and leaves its ratio alone.
    """
    return median(
        median(counted(visit)) / median(counted(other))
        for visit, other in zip(visits, reference, strict=True)
    )


def cpu_p50_ms(visits: Iterable[Visit]) -> float:
    """Median processor time of all runs, in milliseconds; means something with one thread only."""
    return median([time for visit in visits for time in visit["cpu_us"]]) / 1000


def cpu_ratio(visits: Sequence[Visit], reference: Sequence[Visit]) -> float:
    """As `ratio`, of the processor time of all runs: preemption does not enter it."""
    return median(
        median(visit["cpu_us"]) / median(other["cpu_us"])
        for visit, other in zip(visits, reference, strict=True)
    )


def preempted(visits: Iterable[Visit]) -> float:
    """Share of the runs during which something else wanted the processor."""
    switches = [count for visit in visits for count in visit["involuntary_switches"]]
    return sum(count > 0 for count in switches) / len(switches)


def gflops_per_s(macs: int, milliseconds: float) -> float:
    """Two operations a multiply-add, in 10^9 a second."""
    return 2 * macs / milliseconds / 1e6


def summary(rows: Sequence[Row]) -> list[Row]:
    """Median ratio of each contender, runtime and thread count: over all, with and without 7x7."""
    measured = [row for row in rows if row["verdict"] == "measured"]
    keys = dict.fromkeys((row["contender"], row["runtime"], row["threads"]) for row in measured)
    lines: list[Row] = []
    for contender, runtime, threads in keys:
        own = [
            row
            for row in measured
            if (row["contender"], row["runtime"], row["threads"]) == (contender, runtime, threads)
        ]
        line: Row = {"contender": contender, "runtime": runtime, "threads": threads}
        for group in GROUPS:
            chosen = [row for row in own if group in ("all", _group(row))]
            line[group] = median([row["ratio"] for row in chosen]) if chosen else None
            shares = [row["share_of_rate"] for row in chosen if row["share_of_rate"] is not None]
            line[f"share, {group}"] = median(shares) if shares else None
        for part in ("cpu_ratio", "cpu_share_of_rate"):
            values = [row[part] for row in own if row.get(part) is not None]
            line[part] = median(values) if values else None
        line["networks"] = len(own)
        lines.append(line)
    return lines


def _group(row: Row) -> str:
    return "with 7x7" if row["has_7x7"] else "without 7x7"


def _cell(value: float | None, form: str, ending: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{ending}"


def summary_table(rows: Sequence[Row]) -> str:
    """The summary as text; shares are of the rate of 1x1 convolutions in the same runtime."""
    lines = [
        "Latency relative to ours in LiteRT (median over the networks), share of the 1x1 rate",
        f"{'contender':22}{'runtime':16}{'threads':>8}"
        + "".join(f"{group:>13}" for group in GROUPS)
        + "".join(f"{'share, ' + group:>20}" for group in GROUPS)
        + f"{'by CPU time':>14}{'share by it':>14}",
    ]
    for row in sorted(summary(rows), key=lambda row: row["threads"]):
        lines.append(
            f"{row['contender']:22}{row['runtime']:16}{row['threads']:>8}"
            + "".join(f"{_cell(row[group], '.2f', 'x'):>13}" for group in GROUPS)
            + "".join(f"{_cell(row[f'share, {group}'], '.0%'):>20}" for group in GROUPS)
            + f"{_cell(row['cpu_ratio'], '.2f', 'x'):>14}"
            + f"{_cell(row['cpu_share_of_rate'], '.0%'):>14}"
        )
    busy = [row for row in rows if (row.get("preempted") or 0) > BUSY_SHARE]
    if busy:
        lines.append(
            f"The machine was busy: in {len(busy)} of {len(rows)} rows more than {BUSY_SHARE:.0%} "
            "of the runs were preempted. Measure again when it is idle, above all 2 threads."
        )
    idle = [row for row in rows if row["verdict"] != "measured"]
    reasons = dict.fromkeys((r["contender"], r["runtime"], r["verdict"], r["reason"]) for r in idle)
    lines += [f"{name} in {where}: {verdict}: {why}" for name, where, verdict, why in reasons]
    return "\n".join(lines)


def latency_table(rows: Sequence[Row]) -> str:
    """Milliseconds of every network, a column a contender and runtime."""
    measured = [row for row in rows if row["verdict"] == "measured"]
    columns = list(dict.fromkeys((row["contender"], row["runtime"]) for row in measured))
    heads = {column: f"{chr(ord('a') + index)}" for index, column in enumerate(columns)}
    lines = ["Milliseconds (p50)"]
    lines += [f"  {head}: {contender} in {where}" for (contender, where), head in heads.items()]
    lines.append(f"{'network':22}{'threads':>8}" + "".join(f"{head:>9}" for head in heads.values()))
    cells = {
        (row["network"], row["threads"], row["contender"], row["runtime"]): row["p50_ms"]
        for row in measured
    }
    for network, threads in dict.fromkeys((row["network"], row["threads"]) for row in measured):
        values = (cells.get((network, threads, *column)) for column in columns)
        lines.append(f"{network:22}{threads:>8}" + "".join(f"{_cell(v, '.2f'):>9}" for v in values))
    return "\n".join(lines)


def conversion_table(rows: Sequence[Row]) -> str:
    """Median seconds a network, a column a precision; "-" where there is no file, and why."""
    precisions = list(dict.fromkeys(row["precision"] for row in rows if row["precision"]))
    lines = [
        "Seconds of one conversion (median over the networks, imports not counted)",
        f"{'converter':22}" + "".join(f"{precision:>14}" for precision in precisions),
    ]
    notes: dict[str, None] = {}
    for name in dict.fromkeys(row["converter"] for row in rows):
        cells = []
        for precision in precisions:
            own = [r for r in rows if (r["converter"], r["precision"]) == (name, precision)]
            seconds = [row["seconds"] for row in own if row["seconds"] is not None]
            cells.append(_cell(median(seconds) if seconds else None, ".2f"))
        lines.append(f"{name:22}" + "".join(f"{cell:>14}" for cell in cells))
        notes |= {
            f"{name} {row['precision'] or ''}: {row['reason']}": None
            for row in rows
            if row["converter"] == name and row["reason"]
        }
    return "\n".join([*lines, *notes])


def rate_table(rates: Sequence[Row]) -> str:
    """GFLOP/s of stacked 1x1 convolutions: median, over the networks' sessions, by shape."""
    lines = [
        "GFLOP/s of stacked 1x1 convolutions (the share above is of the fastest in its session)"
    ]
    keys = dict.fromkeys((row["runtime"], row["threads"], row["shape"]) for row in rates)
    for key in sorted(keys):
        own = [r["gflops"] for r in rates if (r["runtime"], r["threads"], r["shape"]) == key]
        runtime, threads, shape = key
        lines.append(f"{runtime:16}{threads:>2} threads {shape:>12}: {median(own):7.1f}")
    return "\n".join(lines)


COLOURS = ("#222222", "#d1495b", "#edae49", "#00798c", "#66a182", "#8d6a9f", "#30638e", "#a0a0a0")


def draw(rows: Sequence[Row], path: Path) -> Path:
    """Bars by network: latency relative to ours in LiteRT, one panel a thread count."""
    import matplotlib.figure

    measured = [row for row in rows if row["verdict"] == "measured"]
    counts = sorted({row["threads"] for row in measured})
    networks = list(dict.fromkeys(row["network"] for row in measured))
    columns = [
        column
        for column in dict.fromkeys((row["contender"], row["runtime"]) for row in measured)
        if column != ("ours", "litert")
    ]
    figure = matplotlib.figure.Figure(
        figsize=(max(8.0, 1.1 * len(networks)), 3.6 * len(counts)), dpi=130, layout="constrained"
    )
    panels = np.atleast_1d(figure.subplots(len(counts), 1, sharex=True))
    width = 0.85 / max(1, len(columns))
    for panel, threads in zip(panels, counts, strict=True):
        for index, (contender, runtime) in enumerate(columns):
            found = {
                row["network"]: row["ratio"]
                for row in measured
                if (row["contender"], row["runtime"], row["threads"])
                == (contender, runtime, threads)
            }
            panel.bar(
                np.arange(len(networks)) + (index - (len(columns) - 1) / 2) * width,
                [found.get(network, np.nan) for network in networks],
                width,
                color=COLOURS[index % len(COLOURS)],
                hatch="//" if index >= len(COLOURS) else None,
                label=f"{contender} in {runtime}" if threads == counts[0] else None,
            )
        panel.axhline(1, color="#222222", linewidth=1)
        panel.set_yscale("log", base=2)
        panel.set_yticks([0.5, 1, 2, 4, 8, 16], ["0.5", "1", "2", "4", "8", "16"])
        panel.set_ylabel(f"latency / ours, {threads} thread{'s' if threads > 1 else ''}")
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xticks(np.arange(len(networks)), networks, rotation=25, ha="right")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return write_atomic(path, buffer.getvalue())
