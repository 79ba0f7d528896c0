"""Pages for the files outside docs/ that pages link to, so that no link leaves the site.

On a git host a page links to `../../CONTRIBUTING.md` or to a source file. The site has a page for
each of them, under repository/: Markdown is rendered, anything else is shown as it is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["linked_files", "relinked"]

FOLDER = "repository"
PICTURES = (".png", ".svg", ".jpg")
LANGUAGES = {".py": "python", ".json": "json", ".jsonl": "json", ".toml": "toml", ".sh": "bash"}

LINK = re.compile(
    r"(?P<code>^(?P<fence>```+|~~~+).*?^(?P=fence)[ \t]*$|`[^`\n]+`)"
    r"|(?P<before>\]\(<?|^\[[^\]]+\]:[ ]+<?|\b(?:src|href)=\")"
    r"(?P<target>[^)\s\"<>#:]+)(?=[)\s\"<>#]|$)",
    re.MULTILINE | re.DOTALL,
)
"""A relative link, or code, in which nothing is a link."""


def linked_files(root: Path, pages: Iterable[str], always: Iterable[str]) -> dict[str, str | Path]:
    """The files outside docs/ that the site shows, by their path in the site.

    Args:
        root: of the repository.
        pages: the Markdown files of the site, as paths in the repository.
        always: Markdown files that are shown even if nothing links to them.

    Returns:
        the Markdown of a page, or the picture to copy.
    """
    shown: dict[str, str | Path] = {}
    waiting = [*always]
    for page in pages:
        relinked((root / page).read_text(encoding="utf-8"), page, root, linked=waiting)
    while waiting:
        path = waiting.pop()
        if _place(path) in shown:
            continue
        file = root / path
        if file.suffix in PICTURES:
            shown[_place(path)] = file
        elif file.suffix == ".md":
            text = file.read_text(encoding="utf-8")
            shown[_place(path)] = relinked(text, path, root, linked=waiting)
        else:
            shown[_place(path)] = _listing(file, path) if file.is_dir() else _source(file, path)
    return shown


def relinked(text: str, page: str, root: Path, *, linked: list[str] | None = None) -> str:
    """A page's Markdown with its links out of docs/ turned to the pages that stand for the files.

    Args:
        text: the Markdown.
        page: its path in the repository.
        root: of the repository.
        linked: gets the paths of these files appended.
    """
    own = _place(page)

    def turned(match: re.Match[str]) -> str:
        target = match["target"]
        if match["code"] or target.startswith("/"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        inside = path.startswith("docs/")
        if (inside and page.startswith("docs/")) or not (inside or (root / path).exists()):
            return match[0]
        if not inside and linked is not None:
            linked.append(path)
        return match["before"] + posixpath.relpath(_place(path), posixpath.dirname(own) or ".")

    return LINK.sub(turned, text)


def _place(path: str) -> str:
    """Where a file of the repository stands in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{FOLDER}/{path}" + ("" if path.endswith((".md", *PICTURES)) else ".md")


def _source(file: Path, path: str) -> str:
    """A page that shows a file."""
    text = file.read_text(encoding="utf-8")
    language = LANGUAGES.get(file.suffix, "text")
    return f"{_front(path)}``````{language}\n{text.rstrip()}\n``````\n"


def _listing(folder: Path, path: str) -> str:
    """A page that lists a folder."""
    names = sorted(
        entry.name + ("/" if entry.is_dir() else "")
        for entry in folder.iterdir()
        if not entry.name.startswith((".", "__pycache__"))
    )
    return _front(path) + "\n".join(f"- `{name}`" for name in names) + "\n"


def _front(path: str) -> str:
    """The head of a page that the search leaves out."""
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
