"""The report page: whole in one file, with escaped names, and told apart without colours."""

from __future__ import annotations

import base64
import io
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from edgecmp.road.page import page_html
from edgecmp.road.report import RoadReport, make_verdict
from edgecmp.road.samples import Found, Sample

NAME = "<script>alert('x')</script> & \x1b[31m\"cup\""


def picture() -> str:
    content = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(content, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


class Reader(HTMLParser):
    """What a browser would build: elements, attributes, text; unclosed elements are an error."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def report(folder: Path) -> RoadReport:
    file = {
        "target": "tflite",
        "precision": "int8",
        "input": "image",
        "size_mb": 0.85,
        "verdict": "proven",
        "runtimes": ["litert"],
        "latency_ms": 0.144,
        "reason": "",
    }
    failed = {**file, "verdict": "failed", "runtimes": [], "reason": f"it saw {NAME}"}
    return RoadReport(
        rows=[
            {"protocol": key, "top1": 40.0, "top10": top10, "protocol_name": "identities unseen"}
            for key, top10 in (("gg", 80.0), ("qq", 70.0), ("qg", 76.125))
        ],
        files=[{**file, "file": f"{folder}/{NAME}.tflite"}, {**failed, "file": "b.tflite"}],
        stations=[
            {"station": "index", "planned_s": 60.0, "took_s": 61.0, "notes": []},
            {"station": "search", "planned_s": 0.0, "took_s": None, "notes": []},
        ],
        verdict="The phone finds 95 % of what the server finds within ten.",
        proven=False,
        queries=1234,
        all_queries=5000,
        gallery_images=567,
        queries_note="",
        seconds=61.0,
        asked_s=60.0,
        notes=[f"note of {NAME}"],
        page=folder / "report.html",
        query=folder / "query",
    )


@pytest.fixture
def page(tmp_path: Path) -> tuple[str, Reader]:
    found = Found(picture=picture(), identity=NAME, right=True, score=0.7)
    wrong = Found(picture=picture(), identity="jug", right=False, score=0.3)
    sample = Sample(picture=picture(), identity=NAME, server=(found, wrong), phone=(wrong,))
    search = tmp_path / "search.png"
    Image.new("RGB", (8, 8)).save(search)
    text = page_html(
        report(tmp_path),
        samples=[sample],
        facts=[f"Data: {NAME}."],
        commands={"index": [["gallery", "build", "--data", NAME]]},
        search_picture=search,
        hashes={NAME: "a" * 64},
    )
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return text, reader


def test_the_page_needs_nothing_else(page: tuple[str, Reader]) -> None:
    text, reader = page
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    tags = Counter(tag for tag, _ in reader.elements)
    assert not tags["script"]
    assert not tags["link"]
    sources = [str(values["src"]) for tag, values in reader.elements if tag == "img"]
    assert len(sources) == 5
    for source in sources:
        head, _, content = source.partition(",")
        assert head in ("data:image/jpeg;base64", "data:image/png;base64")
        Image.open(io.BytesIO(base64.b64decode(content))).load()


def test_names_of_the_user_stay_text(page: tuple[str, Reader]) -> None:
    text, reader = page
    shown = "<script>alert('x')</script> & \\x1b[31m\"cup\""
    assert "\x1b" not in text
    for place in (f"Data: {shown}.", f"note of {shown}", shown):
        assert any(place in part for part in reader.text), place
    assert any(values.get("alt") == f"right: {shown}" for _, values in reader.elements)


def test_right_and_wrong_differ_by_more_than_colour(page: tuple[str, Reader]) -> None:
    text, reader = page
    assert "".join(reader.text).count("\N{CHECK MARK} 0.70") == 1
    assert "".join(reader.text).count("\N{BALLOT X} 0.30") == 2
    assert ".hit.right img { border: 3px solid" in text
    assert ".hit.wrong img { border: 2px dashed" in text


def test_figures_and_verdicts_are_on_it(page: tuple[str, Reader]) -> None:
    _, reader = page
    text = " ".join(reader.text)
    for part in (
        *("The phone finds 95 % of what", "76.12 %", "1,234 of 5,000 test queries", "567 images"),
        *("identities unseen", "0.85 MB", "0.14 ms", "\N{CHECK MARK} proven"),
        *("\N{BALLOT X} failed", "1 min 01 s", "left out", "a" * 64, "edgecmp gallery build"),
    ):
        assert part in text, part


def test_a_phone_and_paper_have_rules_of_their_own(page: tuple[str, Reader]) -> None:
    text, reader = page
    names = [values.get("name") for tag, values in reader.elements if tag == "meta"]
    assert "viewport" in names
    assert "@media (max-width" in text
    assert "@media print" in text
    labels = {values.get("data-label") for tag, values in reader.elements if tag == "td"}
    assert labels >= {"File", "Size", "Verdict", "Station", "Took"}


@pytest.mark.parametrize(
    ("gallery_images", "verdict"),
    [
        (99, "90 % of what the server finds in first place (4.5 of 5.0 queries in 100); 0"),
        (100, "90 % of what the server finds within ten (45.0 of 50.0 queries in 100); 0"),
    ],
)
def test_the_verdict_does_not_count_what_chance_finds(gallery_images: int, verdict: str) -> None:
    found = {"gg": 5.0, "qg": 4.5, "qq": 4.0}
    rows = [{"protocol": name, "top1": v, "top10": 10 * v} for name, v in found.items()]
    assert verdict in make_verdict(rows, (), gallery_images)
