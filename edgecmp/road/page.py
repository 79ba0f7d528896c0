"""The report page of a run: one HTML file that needs nothing else, neither a network nor fonts."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import write_atomic
from edgecmp.gallery.index import GalleryIndex
from edgecmp.printable import printable
from edgecmp.progress import duration, say
from edgecmp.road.driver import Driver
from edgecmp.road.duration import time_text
from edgecmp.road.outcomes import read_report
from edgecmp.road.page_style import STYLE
from edgecmp.road.report import RoadReport
from edgecmp.road.samples import Found, Sample, found_samples

__all__ = ["page_html", "write_page"]

PROTOCOLS = {
    "gg": ("The server alone, M(g,g)", "gallery model for queries and gallery"),
    "qg": ("The phone, M(q,g)", "query network for queries, the server's index"),
    "qq": ("The phone alone, M(q,q)", "query network for both, an index of its own"),
}
"""Title and explanation of each row of an evaluation, in the order of the cards."""

SIGNS = {"proven": "\N{CHECK MARK} proven", "failed": "\N{BALLOT X} failed", "not run": "not run"}


def write_page(report: RoadReport, driver: Driver) -> Path:
    """Writes the page of a run; samples that cannot be shown are left out and said.

    Raises:
        UserError: the page cannot be written.
    """
    samples: list[Sample] = []
    try:
        begun = driver.record.stations["report"]
        index = GalleryIndex.load(driver.places / "index")
        command = begun.commands[0]
        photos = command[1 : command.index("--model")]
        phone = read_report(driver.record, "reports/report.json")["rows"]
        samples = found_samples(driver.survey, index, photos, phone)
    except (UserError, OSError) as error:
        say(f"The sample pictures are left out of the report: {error}")
    html = page_html(
        report,
        samples=samples,
        facts=driver.survey.sentences(),
        commands={name: begun.commands for name, begun in driver.record.stations.items()},
        search_picture=driver.places.out / "search" / "search.png",
        hashes={
            name: sha256
            for begun in driver.record.stations.values()
            for name, sha256 in begun.results.items()
        }
        | {"gallery model": driver.survey.source.sha256},
    )
    return write_atomic(report.page, html.encode())


def page_html(
    report: RoadReport,
    *,
    samples: Sequence[Sample],
    facts: Sequence[str],
    commands: Mapping[str, Sequence[Sequence[str]]],
    search_picture: Path,
    hashes: Mapping[str, str],
) -> str:
    """The whole page.

    Args:
        report: of the run.
        samples: queries with what was found.
        facts: sentences about gallery, data and bounds.
        commands: of each station, without "edgecmp".
        search_picture: a PNG; left out if there is none.
        hashes: SHA-256 by what it is of.
    """
    sections = [
        *_head(report),
        *_figures(report),
        *_files(report.files),
        *_samples(samples),
        *_times(report),
        *_search(search_picture),
        *_details(report, facts, commands, hashes),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(report.verdict)}</title>",
            f"<style>{STYLE}</style></head><body>",
            *sections,
            "</body></html>",
            "",
        ]
    )


def _text(value: object) -> str:
    """Text for HTML, with control characters escaped."""
    return escape(printable(str(value)))


def _head(report: RoadReport) -> Iterator[str]:
    yield f'<header><p class="kicker">edgecmp run, {_text(report.page.parent.name)}</p>'
    yield f"<h1>{_text(report.verdict)}</h1></header>"
    for note in report.notes:
        yield f"<p>{_text(note)}</p>"


def _figures(report: RoadReport) -> Iterator[str]:
    by = {row["protocol"]: row for row in report.rows}
    yield '<div class="cards">'
    for name, (title, what) in PROTOCOLS.items():
        if name not in by:
            continue
        yield f'<section class="card{" main" if name == "qg" else ""}">'
        yield f"<h3>{title}</h3><p>{what}</p>"
        for k in (1, 10):
            share = by[name][f"top{k}"]
            yield (
                f'<div class="bar"><span>top-{k}</span><i><b style="width:{share:.2f}%"></b></i>'
                f"<span>{share:.2f} %</span></div>"
            )
        yield "</section>"
    yield "</div>"
    first = report.rows[0]
    of_all = f" of {report.all_queries:,}" if report.queries < report.all_queries else ""
    told = [
        f"{report.queries:,}{of_all} test queries in a gallery of {report.gallery_images:,} images",
        *([first["protocol_name"]] if first.get("protocol_name") else []),
        *([report.queries_note.rstrip(".")] if report.queries_note else []),
    ]
    yield (
        f'<p class="soft">{_text("; ".join(told))}. Top-10: the share of queries whose identity is '
        "among the first ten answers.</p>"
    )


def _files(files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "<h2>Files for the phone</h2>"
    yield (
        "<p>Proven: the file finds what the trained network finds, in its real runtime, on test "
        "queries. Latency: median of single images on this machine, one thread.</p>"
    )
    rows = [
        {
            "File": (Path(row["file"]).name, ""),
            "Format": (f"{row['target']}, {row['precision']}", ""),
            "Input": ("8-bit image" if row["input"] == "image" else "float tensor", ""),
            "Size": (f"{row['size_mb']:.2f} MB", "number"),
            "Latency": (_latency(row["latency_ms"]), "number"),
            "Verdict": (SIGNS[row["verdict"]], f"verdict {row['verdict'].replace(' ', '-')}"),
            "In": (", ".join(row["runtimes"]) or row["reason"] or "-", ""),
        }
        for row in files
    ]
    yield from _table(rows)


def _latency(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.2f} ms"


def _table(rows: Sequence[Mapping[str, tuple[str, str]]], kind: str = "") -> Iterator[str]:
    """A table whose cells are text and class; on a phone each row is a list of labelled values."""
    if not rows:
        return
    yield f'<table class="{kind}"><thead><tr>'
    for name, (_, kind) in rows[0].items():
        number = ' class="number"' if kind == "number" else ""
        yield f"<th{number}>{_text(name)}</th>"
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = (
            f'<td data-label="{_text(name)}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>'
            f"{_text(text)}</td>"
            for name, (text, kind) in row.items()
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table>"


def _samples(samples: Sequence[Sample]) -> Iterator[str]:
    if not samples:
        return
    yield "<h2>Sample queries</h2>"
    yield (
        "<p>Evenly spaced over the test queries, not chosen by their results. A solid frame and "
        "\N{CHECK MARK}: the query's identity; a dashed frame and \N{BALLOT X}: another one.</p>"
    )
    yield '<div class="samples">'
    for sample in samples:
        name = _text(sample.identity)
        yield (
            f'<div class="sample"><figure><img src="{sample.picture}" alt="query: {name}">'
            f'<figcaption title="{name}">{name}</figcaption></figure><div>'
        )
        for title, found in (("server", sample.server), ("phone", sample.phone)):
            yield f'<div class="side"><span>{title}</span>{"".join(map(_hit, found))}</div>'
        yield "</div></div>"
    yield "</div>"


def _hit(found: Found) -> str:
    sign, kind = ("\N{CHECK MARK}", "right") if found.right else ("\N{BALLOT X}", "wrong")
    name = _text(found.identity)
    return (
        f'<figure class="hit {kind}"><img src="{found.picture}" alt="{kind}: {name}">'
        f'<figcaption title="{name}">{sign} {found.score:.2f}</figcaption></figure>'
    )


def _times(report: RoadReport) -> Iterator[str]:
    yield "<h2>The plan, and what it took</h2>"
    yield (
        f"<p>{_text(duration(report.seconds))} of the {_text(time_text(report.asked_s))} that were "
        "given.</p>"
    )
    yield from _table(
        [
            {
                "Station": (row["station"], ""),
                "Planned at first": (_seconds(row["planned_s"] or None), "number"),
                "Took": (_seconds(row["took_s"]), "number"),
            }
            for row in report.stations
        ],
        "narrow",
    )


def _seconds(seconds: float | None) -> str:
    return "left out" if seconds is None else duration(seconds)


def _search(picture: Path) -> Iterator[str]:
    if not picture.exists():
        return
    content = base64.b64encode(picture.read_bytes()).decode()
    yield "<h2>The search</h2>"
    yield (
        '<img class="plot" alt="Reward against FLOPs of every candidate" '
        f'src="data:image/png;base64,{content}">'
    )


def _details(
    report: RoadReport,
    facts: Sequence[str],
    commands: Mapping[str, Sequence[Sequence[str]]],
    hashes: Mapping[str, str],
) -> Iterator[str]:
    yield "<h2>How it was made</h2>"
    for fact in facts:
        yield f"<p>{_text(fact)}</p>"
    for station, lines in commands.items():
        yield f"<p><strong>{_text(station)}</strong></p>"
        for line in lines:
            yield f'<code class="command">edgecmp {_text(shlex.join(line))}</code>'
    yield "<h2>Versions and hashes</h2><dl>"
    for name, value in {**report.provenance, **hashes}.items():
        yield f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>"
    yield "</dl>"
