"""`edgecmp inspect`: what a file or folder is, and what it was made from."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecmp.cli.options import JsonFile, help_text
from edgecmp.errors import UserError
from edgecmp.report import key_values, write_report

if TYPE_CHECKING:
    from edgecmp.inspection import Inspection

__all__ = ["HELP", "InspectReport", "inspect", "inspect_path"]

HELP = help_text(
    "Say what a file or folder is, and what it was made from.",
    (
        "edgecmp inspect runs/query runs/query.tflite",
        "edgecmp inspect runs/query.onnx --index runs/index",
        "edgecmp inspect runs/* --json inspect.json",
    ),
    "Knows every artefact of edgecmp, and .tflite, .onnx and .mlpackage from elsewhere. A hash is "
    "shown by its first twelve digits; --json has all. Exit code 0 if all checks hold, 1 if one "
    "failed, 2 if something cannot be read.",
)

UNREADABLE = 2
MARKS = {"ok": "ok", "failed": "FAILED", "unknown": "unknown"}


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectReport:
    """What was found: one dictionary a path; an unreadable one has the key "error"."""

    rows: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {"artefacts": list(self.rows)}


def inspect_path(path: Path, index: Path | None = None) -> Inspection:
    """What lies at `path`.

    Args:
        path: a bundle, an index, a search, an architecture, a latency table, images in shards, a
            model file or its description.
        index: the gallery index that it should belong to; the starter kit's if None.

    Raises:
        UserError: it cannot be read, or is nothing that edgecmp knows.
    """
    from edgecmp.data.shards import is_shards
    from edgecmp.inspection import (
        inspect_architecture,
        inspect_bundle,
        inspect_index,
        inspect_shards,
    )

    if not path.exists():
        raise UserError(f"{path} does not exist.", "Check the path.")
    if path.suffix in (".tflite", ".onnx", ".mlpackage"):
        from edgecmp.export.inspect import inspect_export

        return inspect_export(path, index)
    if path.suffix == ".toml":
        from edgecmp.export.inspect import inspect_description

        return inspect_description(path, index)
    if path.is_dir() and (path / "manifest.json").exists():
        kind = _format(path / "manifest.json")
        return inspect_index(path) if kind == "edgecmp-index" else inspect_bundle(path, index)
    if path.name in ("history.jsonl", "result.json") or (path / "history.jsonl").exists():
        from edgecmp.search.results.inspect import inspect_search

        return inspect_search(path)
    if path.suffix == ".json" and _format(path) == "edgecmp-latency-table":
        from edgecmp.export.latency_parts import lowering_fingerprint
        from edgecmp.inspection import inspect_latency_table

        return inspect_latency_table(path, lowering_fingerprint())
    if path.suffix == ".json":
        return inspect_architecture(path)
    if path.is_dir() and (path / "architecture.json").exists():
        return inspect_architecture(path / "architecture.json")
    if is_shards(path):
        return inspect_shards(path)
    raise UserError(
        f"{path} is nothing that edgecmp knows.",
        "Name a model's folder, a gallery index, a search, an architecture.json, a latency table, "
        "images in shards, or a .tflite, .onnx or .mlpackage.",
    )


def _format(document: Path) -> str:
    """The kind of a JSON document, such as "edgecmp-index"; empty if it does not say."""
    try:
        return str(json.loads(document.read_bytes())["format"]).partition("/")[0]
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # the reader of the most likely kind says what is wrong


def inspect(
    paths: Annotated[list[Path], typer.Argument(metavar="PATHS", help="Files and folders.")],
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="DIR",
            help="The gallery index it should belong to: a failed check if it does not.",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Runs `inspect_path` for each."""
    rows: list[dict[str, Any]] = []
    sound = readable = True
    for path in paths:
        try:
            found = inspect_path(path, index)
        except UserError as error:
            readable = False
            rows.append({"path": str(path), "error": str(error)})
            sys.stdout.flush()
            print(f"error: {error}", file=sys.stderr)
            continue
        sound = sound and found.sound
        if rows:
            print()
        print(text(found))
        rows.append(found.to_dict())
    write_report(InspectReport(rows=tuple(rows)), json_file)
    if not readable:
        raise typer.Exit(UNREADABLE)
    if not sound:
        raise typer.Exit(1)


def text(found: Inspection) -> str:
    """An inspection for people."""
    facts = {
        key: FORMS[key](value) if key in FORMS else value for key, value in found.facts.items()
    }
    checks = {
        check.name: f"{MARKS[check.verdict]}{': ' if check.detail else ''}{check.detail}"
        for check in found.checks
    }
    parts = [found.path, key_values({"what": found.what, **facts}, indent=2)]
    if checks:
        parts += ["  checks", key_values(checks, indent=4)]
    return "\n".join(parts)


def _bytes(count: int) -> str:
    return f"{count / 1e6:.3f} MB" if count >= 1e5 else f"{count:,} bytes"


def _size(size: dict[str, int]) -> str:
    files = f" in {size['files']} files" if size["files"] != 1 else ""
    return _bytes(size["bytes"]) + files


def _weights(weights: dict[str, dict[str, int]]) -> str:
    return ", ".join(
        f"{part['values']:,} {kind} ({_bytes(part['bytes'])})" for kind, part in weights.items()
    )


def _operators(operators: dict[str, int]) -> str:
    kinds = ", ".join(f"{count} {name}" for name, count in operators.items())
    return f"{sum(operators.values())}: {kinds}"


def _preprocessing(document: dict[str, Any]) -> dict[str, Any]:
    """In one order, whatever order the file has."""
    first = ("input_size", "mean", "std", "background")
    return {key: document[key] for key in (*first, *sorted({*document} - {*first}))}


FORMS: dict[str, Callable[[Any], object]] = {
    "preprocessing": _preprocessing,
    "size": _size,
    "weights": _weights,
    "operators": _operators,
}
"""How facts are shown that programs read in parts."""
