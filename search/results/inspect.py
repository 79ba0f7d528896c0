"""What a search's folder contains: the candidates so far, and the winner if the search ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgecmp.errors import UserError
from edgecmp.files import read_json
from edgecmp.inspection import Check, Inspection, architecture_facts, made_by, size_facts
from edgecmp.networks.architecture import Architecture
from edgecmp.search.results.history import candidate_of, read_header

__all__ = ["inspect_search"]

HISTORY, RESULT = "history.jsonl", "result.json"

FACTS = (
    *("budget", "latency_ms", "device", "table", "verified"),
    *("reward", "metric", "seed", "evaluations", "exhausted", "seconds"),
)
"""Fields of a result that are shown."""


def inspect_search(path: Path) -> Inspection:
    """Inspects a search's folder, its history.jsonl or its result.json.

    Raises:
        UserError: a file cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    facts: dict[str, Any] = {"size": size_facts(path)}
    checks: list[Check] = []
    result = folder / RESULT
    if result.exists() and path.name != HISTORY:
        facts |= _result(result, checks)
    if (folder / HISTORY).exists() and path.name != RESULT:
        facts |= _history(folder / HISTORY, checks)
    ended = "" if result.exists() else ", not ended"
    return Inspection(
        path=str(path), what=f"architecture search{ended}", facts=facts, checks=tuple(checks)
    )


def _result(file: Path, checks: list[Check]) -> dict[str, Any]:
    """Facts of a result; adds the check that architecture.json is its winner."""
    document = read_json(file, what="the result of a search")
    try:
        architecture = Architecture.from_dict(document["architecture"], source=str(file))
        best = document["rows"][document["winner"] - 1]
        facts = {name: document[name] for name in FACTS}
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"{file} is not the result of a search ({error}).", "Run the search again."
        ) from error
    winner = file.with_name("architecture.json")
    name = "architecture.json is the winner"
    if winner.exists():
        same = Architecture.load(winner) == architecture
        checks.append(Check(name=name, verdict="ok" if same else "failed"))
    else:
        checks.append(Check(name=name, verdict="unknown", detail="the file is missing"))
    return facts | {"winner": best, **architecture_facts(architecture)}


def _history(file: Path, checks: list[Check]) -> dict[str, Any]:
    """Facts of a history; adds the check that its lines are intact."""
    header = read_header(file) or {}
    *lines, rest = file.read_bytes().split(b"\n")
    name, broken, generations = "every line of the history is whole", "", set()
    for number, line in enumerate(lines[1:], start=2):
        try:
            candidate = candidate_of(json.loads(line), header["search"])
            generations.add(candidate.generation)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            broken = broken or f"line {number}: {error}"
    detail = broken or ("the last line is cut off; the search resumes before it" if rest else "")
    checks.append(
        Check(name=name, verdict="failed" if broken else "unknown" if rest else "ok", detail=detail)
    )
    return {
        "candidates": max(0, len(lines) - 1),
        "generations": len(generations),
        "search": header.get("search"),
        **made_by(header.get("provenance", {})),
    }
