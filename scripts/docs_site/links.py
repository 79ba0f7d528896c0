"""Finds links of the built site that lead nowhere, and whatever a page would fetch from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["site_faults"]

FETCHES = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
"""Elements whose address the browser loads at once."""
LOADED_RELATIONS = {"stylesheet", "icon", "preload", "preconnect", "modulepreload"}


@dataclass
class _Page(HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in FETCHES and FETCHES[tag] in values:
            self.loads.append(values[FETCHES[tag]])
        if tag == "link" and LOADED_RELATIONS & set(values.get("rel", "").split()):
            self.loads.append(values.get("href", ""))


def site_faults(site: Path) -> Iterator[str]:
    """One sentence per dead target, however many pages link to it, and per address outside the site
    that pages load.

    Args:
        site: folder of the built site.
    """
    site = site.resolve()
    pages = {}
    for file in sorted(site.rglob("*.html")):
        pages[file] = _Page()
        pages[file].feed(file.read_text(encoding="utf-8"))
    faults: dict[str, list[str]] = {}
    for file, page in pages.items():
        if file.name == "404.html":  # served for any address, so its links are absolute
            continue
        for link in dict.fromkeys([*page.links, *page.loads]):
            fault = _fault(link, file, pages, loaded=link in page.loads)
            if fault:
                faults.setdefault(fault, []).append(str(file.relative_to(site)))
    for fault, names in faults.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{others}: {fault.replace(f'{site}/', '')}"


def _fault(link: str, file: Path, pages: Mapping[Path, _Page], *, loaded: bool) -> str:
    """What is wrong with a link; empty if nothing."""
    address = urlsplit(link)
    if address.scheme or address.netloc:
        outside = loaded and address.scheme != "data"
        return f"{link} is loaded from outside the site." if outside else ""
    target = (file.parent / unquote(address.path)).resolve() if address.path else file
    if not target.is_file():
        return f"the link to {target} is dead."
    wanted = {address.fragment, unquote(address.fragment)}
    if address.fragment and target in pages and not wanted & pages[target].anchors:
        return f"the link to {target} is dead: there is no anchor #{address.fragment}."
    return ""
